#!/usr/bin/env bash
# A recipe for a new corpus, in one command: a folder of class folders, <set>/<label>/ folders, or a CSV file.
#
#   tools/new_recipe.sh my_corpus /path/to/corpus
#   tools/new_recipe.sh my_corpus table.csv        # columns path,label[,speaker,split,fold]
#   tools/new_recipe.sh --labels none birds /path/to/recordings   # pretrain alone
#   tools/new_recipe.sh --columns 'path=audio/{filename},label=category' my_corpus table.csv
#
# Makes egs/<name> from egs/TEMPLATE: rate, mel bins, crop length, task, sets and folds as the recordings tell.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/path.sh"
egs_dir="$_root/egs"            # folder of the recipes
template=""                     # recipe to copy; empty: egs/TEMPLATE
columns=""                      # of a CSV file with other names, as above; what is not named is left out
labels=given                    # none: all recordings are for pretraining, and nothing is fine-tuned
preset=""                       # what the labels tell apart, words, speakers or sounds: crops and front end
parse_leading_options "$@"
if ((${#words[@]} != 2)); then
    echo "usage: ${0##*/} [options] <name> <corpus>; --help lists the options" >&2 && exit 2
fi
asit-new-recipe --name "${words[0]}" --corpus "${words[1]}" --columns "$columns" --labels "$labels" --preset "$preset" --egs-dir "$egs_dir" \
    --template "$template"
