#!/usr/bin/env bash
# asit-tiny, a small general backbone: pretrained on corpora whose licences let weights be given
# away, without any clip that a recipe of this toolkit tests or validates on. Hours on one processor core.
#
#   ./run.sh --corpora /data/corpora                    # a folder for each corpus of conf/corpora.tsv
#   ./run.sh                                            # fetches them: 3 GB
#   ./run.sh --corpora /data/corpora --partial true     # of those that are there
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./path.sh
. ./cmd.sh
corpora=""                          # folder with a folder for each corpus; empty: they are downloaded
partial=false                       # take the corpora that are there
nj=2                                # jobs at a time that extract features
ngpu=0                              # GPUs; 0: CPU
fbank_config=conf/fbank.yaml        # front end
pretrain_config=conf/pretrain.yaml  # ASiT for a small corpus, longer
exp=exp                             # folder of models and logs
pretrain_args=""                    # more options of asit-pretrain, such as "--steps 1000"
tag=""                              # name of an experiment: trainings in exp/<tag>, data and features shared
out=""                              # the weights in half precision; empty: asit-tiny.safetensors in the experiment
parse_options "$@"

records_in "$exp/.done" # of the stages that all experiments share
exp=$(experiment "$exp" "$tag")
: "${out:=$exp/asit-tiny.safetensors}"
copies=${corpora:-downloads}
((ngpu > 0)) && model_cmd=$cuda_cmd || model_cmd=$train_cmd
PYTHONPATH=$PWD/../speechcommands/local:$PWD/../arabic_commands/local:$PWD/../asterisk/local${PYTHONPATH:+:$PYTHONPATH}
export PYTHONPATH # prepare.py takes the rules of three corpora from their recipes

if begin 0 download "The corpora" conf/corpora.tsv; then
    if [[ -z $corpora ]]; then
        while IFS=$'\t' read -r name _ _ address sha256; do
            [[ $address == http* && ! -d downloads/$name ]] || continue
            asit-download --sources "$address" --out "downloads/${address##*/}" --sha256 "$sha256" \
                --extract-to "downloads/$name"
        done <conf/corpora.tsv
        ../asterisk/local/unpack.py --debs downloads/debs --fetch true --out downloads/asterisk
    fi
fi

if begin 1 data "One data directory of all of them" local/prepare.py conf/corpora.tsv -- data/all/wav.scp; then
    local/prepare.py --corpora "$copies" --data data --partial "$partial"
    for set in all pool; do asit-validate-data-dir --data-dir "data/$set"; done
fi

if begin 2 features "Log-mel features" "$fbank_config" -- data/all/feats.scp; then
    "$tools/make_fbank.sh" --nj "$nj" --cmd "$train_cmd" --fbank-config "$fbank_config" --resample true --compression 3 \
        data/all data/all/log fbank # two bytes a value: exact enough, half the size
    asit-select-feats --from-dir data/all --data-dirs data/pool
fi

if begin 3 stats "Mean and standard deviation" data/pool/feats.scp -- data/pool/stats.yaml; then
    asit-compute-stats --data-dir data/pool
fi

records_in "$exp/.done" # of this experiment
if begin 4 pretrain "Pretrain without labels" "$pretrain_config"; then
    mkdir -p "$exp/plan"
    echo "asit-pretrain --config $pretrain_config --data-dir data/pool --out-dir $exp/pretrain_0 --seed 0" >"$exp/plan/pretrain.txt"
    "$tools/run_jobs.sh" --cmd "$model_cmd" --ngpu "$ngpu" --force "$force" \
        --args "--restart-changed true $pretrain_args" "$exp/plan/pretrain.txt" "$exp/log"
fi

if begin 5 export "The weights in half precision" local/export.py "$exp/pretrain_0/backbone.safetensors" -- "$out"; then
    local/export.py --backbone "$exp/pretrain_0/backbone.safetensors" --out "$out"
fi
finish
