# jq_work.jq: groups, sorts and rewrites 4 thousand rows.
(group_by(.tags[0])[] | [.[0].tags[0], length, (map(.value) | add | floor)]),
(sort_by(-.value, .name) | .[0:5][] | .name),
(map(.tags[]) | unique),
([.[] | select(.name | test("1[0-9]{2}$")) | .name |= ascii_upcase] | length),
(reduce .[] as $row ({}; .[$row.name] += $row.value) | to_entries | sort_by(.value) | .[-3:]),
(map(tojson) | add | length),
([range(50000)] | map(. * . % 1009) | add)
