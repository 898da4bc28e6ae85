#!/bin/sh
# git_work.sh: a repository's life: init, commit, branch, merge, log, blame, gc, clone, grep, fsck.
# All dates and names are fixed, so that every object has the same name on each run.
set -eu
cd "$1"
export GIT_CONFIG_GLOBAL="$1/config" GIT_PAGER=cat
export GIT_AUTHOR_NAME=Author GIT_AUTHOR_EMAIL=author@example.org
export GIT_COMMITTER_NAME=Author GIT_COMMITTER_EMAIL=author@example.org
git config --global init.defaultBranch main
git config --global gc.auto 0
git config --global gc.autoDetach false
git config --global maintenance.auto false
git config --global pack.threads 2
git config --global advice.detachedHead false

git init -q origin
cd origin
minute=0
commit() {
    minute=$((minute + 1))
    export GIT_AUTHOR_DATE="$((1600000000 + minute * 60)) +0000"
    export GIT_COMMITTER_DATE="$GIT_AUTHOR_DATE"
    git add -A
    git commit -q -m "$1"
}
awk 'BEGIN { for (i = 1; i <= 3000; i++) print "line", i, (i * 7919) % 10007 }' > data
commit "start"
i=0
while [ $i -lt 25 ]; do
    i=$((i + 1))
    sed "$((i * 97 % 3000 + 1))s/.*/changed by $i/" data > data.new
    mv data.new data
    mkdir -p "folder$((i % 5))"
    seq $i $((i + 300)) > "folder$((i % 5))/file$i"
    commit "change $i"
done
git checkout -q -b side HEAD~10
seq 1 500 > side-file
commit "on the side"
git checkout -q main
minute=$((minute + 1))
export GIT_AUTHOR_DATE="$((1600000000 + minute * 60)) +0000"
export GIT_COMMITTER_DATE="$GIT_AUTHOR_DATE"
git merge -q --no-edit side
git log --oneline --stat --no-decorate | cksum
git log --format='%H %s' | head -n 5
git blame -s data | cksum
git diff HEAD~20 HEAD | cksum
git tag -a -m "a tag" v1
git gc -q --prune=now --aggressive
git fsck --full --strict
git count-objects -v | grep -E '^(count|in-pack|packs):'
git grep -c "changed by"
git archive HEAD | cksum
cd ..
git clone -q --no-local origin copy
cd copy
git rev-parse HEAD
git log --all --graph --oneline --no-decorate | tail -n 4
git ls-tree -r HEAD | cksum
git status --short --branch
