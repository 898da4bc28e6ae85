#!/bin/bash
# bash_work.sh: work for bash as a script author gives it: arrays, strings, recursion, subshells,
# pipelines. Prints results only, the same on each run.
set -euo pipefail

declare -A count_of
declare -a words
text="the quick brown fox jumps over the lazy dog and runs into the deep dark wood"
for round in {1..150}; do
    for word in $text; do
        words+=("$word-$((round % 17))")
        count_of["$word-$((round % 17))"]=$((${count_of["$word-$((round % 17))"]:-0} + 1))
    done
done
echo "words ${#words[@]} different ${#count_of[@]}"
for word in "${!count_of[@]}"; do
    echo "$word ${count_of[$word]}"
done | sort | awk '{ sum += $2 * NR } END { print "weighted", sum }'

long=""
for i in {1..3000}; do
    long+="$i,"
done
echo "long ${#long} ${long//[02468]/_}" | cksum
echo "${long^^}" | tr ',' '\n' | sort -rn | sed -n 1,3p

fibonacci() {
    if (($1 < 2)); then
        echo "$1"
    else
        echo $(($(fibonacci $(($1 - 1))) + $(fibonacci $(($1 - 2)))))
    fi
}
echo "fibonacci $(fibonacci 9)"

matches=0
for word in "${words[@]}"; do
    if [[ $word =~ ^(.*o.*)-(1[0-6])$ ]]; then
        matches=$((matches + ${#BASH_REMATCH[1]}))
    fi
done
echo "matches $matches"

while IFS=: read -r name value; do
    printf '%-8s|%5d\n' "$name" "$value"
done <<< "$(for i in {1..20}; do echo "row$i:$((i * i))"; done)"

mapfile -t lines < <(seq 1 2000)
echo "mapfile ${#lines[@]} ${lines[*]:100:3}"
(trap 'echo "subshell ends"' EXIT; unset words; eval 'echo "eval $((6 * 7))"')
for i in {1..8}; do
    (echo "$((i * 1000003 % 97))" > "part$i") &
done
wait
cat part1 part2 part3 part4 part5 part6 part7 part8 | paste -sd' '
