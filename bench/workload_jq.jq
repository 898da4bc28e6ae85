# A jq workload for the benchmark: grouping, sorting and rewriting an array of records.
(group_by(.address.city)
 | map({city: .[0].address.city, count: length, best: (max_by(.score) | .name)})) as $cities
| (map(.tags[]) | group_by(.) | map({key: .[0], value: length}) | from_entries) as $tags
| {cities: ($cities | sort_by(-.count) | .[0:20]), tags: $tags,
   names: (map(.name | ascii_upcase | sub(" "; "_")) | unique | length),
   total: (map(.score) | add)}
