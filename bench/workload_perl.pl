# A perl workload for the benchmark: hashes, regular expressions, sorting, nested structures. The
# argument is the number of rounds; the last line printed is a checksum, the same under every
# allocator.
use strict;
use warnings;

my $rounds = shift // 10;
my $seed = 20250917;

sub next_number {
    $seed = ($seed * 1103515245 + 12345) & 0x7fffffff;
    return $seed >> 8;
}

my $checksum = 0;
for my $round (1 .. $rounds) {
    my (%count, @records);
    for my $i (1 .. 30000) {
        my $name = "name" . (next_number() % 20000);
        $count{$name}++;
        push @records, { name => $name, values => [map { next_number() % 100 } 1 .. 4] };
    }
    my $text = join ' ', map { "$_->{name}=" . join(',', @{$_->{values}}) } @records;
    my $changed = ($text =~ s/(\w+)=(\d+),(\d+)/$2:$1:$3/gr);
    my $found = () = $changed =~ /\b\d+:name\d*7:/g;
    my @sorted = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
    $checksum = ($checksum * 31 + $found + length($changed) + ord($sorted[0])) % 1000000007;
}
print "$checksum\n";
