#!/usr/bin/perl
# perl_work.pl: hashes, regular expressions, sorting, closures, string growth, pack, fork.
use strict;
use warnings;
$| = 1;

my (%count_of, @rows);
my $seed = 42;
for my $i (1 .. 60000) {
    $seed = ($seed * 1103515245 + 12345) % 2147483648;
    my $word = sprintf('%05x', $seed % 20011);
    $count_of{$word} .= chr(97 + $i % 26);
    push @rows, [$word, $i] if $i % 3 == 0;
}
print 'words ', scalar(keys %count_of), "\n";
my $sum = 0;
$sum += length($count_of{$_}) * hex($_) % 1009 for sort keys %count_of;
print "sum $sum\n";
my @sorted = sort { $a->[0] cmp $b->[0] || $b->[1] <=> $a->[1] } @rows;
print join(' ', map { "$_->[0]:$_->[1]" } @sorted[0 .. 4]), "\n";

my $text = join(' ', map { $_->[0] } @rows);
my $replaced = ($text =~ s/([0-9]{2})([a-f]+)/$2-$1/g);
print "replaced $replaced ", unpack('%32C*', $text), "\n";
my @parts = split /-/, $text;
print 'parts ', scalar(@parts), ' ', length(join('', reverse @parts)), "\n";

my @adders = map { my $n = $_; sub { $_[0] + $n } } 1 .. 1000;
my $total = 0;
$total = $_->($total) for @adders;
print "closures $total\n";
my $tree;
for my $value (map { $_ * 7919 % 5003 } 1 .. 5000) {
    my $place = \$tree;
    $place = $value < $$place->{value} ? \$$place->{left} : \$$place->{right} while $$place;
    $$place = {value => $value};
}
sub depth { my $node = shift; return 0 unless $node;
    my ($l, $r) = (depth($node->{left}), depth($node->{right})); return 1 + ($l > $r ? $l : $r); }
print 'depth ', depth($tree), "\n";

for my $i (1 .. 4) {
    my $pid = fork() // die "fork: $!";
    if ($pid == 0) {
        my %own = map { $_ => 'x' x $_ } 1 .. 2000;
        exit(length(join('', values %own)) % 100 == 0 ? $i : 99);
    }
    waitpid($pid, 0);
    print 'child ', $? >> 8, "\n";
}
