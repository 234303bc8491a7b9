#!/usr/bin/env bash
# Log-mel features of a data directory in parallel jobs, after Kaldi's steps/make_fbank.sh.
#
#   tools/make_fbank.sh [options] <data-dir> [<log-dir> [<fbank-dir>]]
#   tools/make_fbank.sh --nj 8 --cmd "$train_cmd" data/train exp/make_fbank/train fbank
#
# <log-dir> is <data-dir>/log by default, <fbank-dir> is <data-dir>/data. Writes feats.scp, utt2num_frames, utt2dur,
# frame_shift and conf/fbank.yaml to <data-dir>, raw_fbank_<name>.JOB.{ark,scp} to <fbank-dir>. Fails when fewer than
# 95 % of the utterances succeed; failed_utts lists the others. The features do not depend on --nj.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/path.sh"
nj=4                            # jobs (at most one for each utterance)
cmd="asit-run-local"            # job back end, such as "asit-run-local --mem 2G"
fbank_config=conf/fbank.yaml    # options of asit-make-fbank
compression=0                   # Kaldi's compression method of the archives, 0 (float32) to 7
resample=false                  # convert audio of another rate than the configuration's
allow_pipes=false               # run the commands in wav.scp; only for lists that you trust
channel=""                      # channel of audio with several, from 0, or mix; empty: the configuration's

parse_leading_options "$@"
if ((${#words[@]} < 1 || ${#words[@]} > 3)); then
    echo "usage: ${0##*/} [options] <data-dir> [<log-dir> [<fbank-dir>]]; --help lists the options" >&2 && exit 2
fi
data_dir=${words[0]%/}
log_dir=${words[1]:-$data_dir/log}
fbank_dir=${words[2]:-$data_dir/data}
name=${data_dir##*/}
read -r -a back_end <<<"$cmd"
((nj > 0)) || _wrong "--nj: expected at least 1 job, found $nj"

for file in "$fbank_config" "$data_dir/utt2spk" "$data_dir/wav.scp"; do
    [[ -f $file ]] || { echo "${0##*/}: error: $file: no such file" >&2 && exit 1; }
done
for table in feats.scp utt2num_frames utt2dur utt2crc; do # of an earlier run
    [[ ! -f $data_dir/$table ]] || { mkdir -p "$data_dir/.backup" && mv "$data_dir/$table" "$data_dir/.backup/"; }
done
asit-validate-data-dir --data-dir "$data_dir" --check-files false --spk-sort false \
    --allow-pipes "$allow_pipes"
utts=$(wc -l <"$data_dir/utt2spk")
((nj <= utts)) || { nj=$utts && log "only $utts utterances: --nj $nj"; }
asit-split-data-dir --data-dir "$data_dir" --nj "$nj"
job=$(job_word "$data_dir" "$log_dir" "$fbank_dir" "$fbank_config" "$compression" "$channel")
"${back_end[@]}" "$job=1:$nj" "$log_dir/make_fbank_$name.$job.log" \
    asit-make-fbank --config "$fbank_config" --data-dir "$data_dir/split$nj/$job" --out-dir "$fbank_dir" \
    --name "raw_fbank_$name.$job" --compression "$compression" --resample "$resample" --partial true \
    --allow-pipes "$allow_pipes" ${channel:+--channel "$channel"}
asit-collect-feats --data-dir "$data_dir" --out-dir "$fbank_dir" --name "raw_fbank_$name" --nj "$nj"
