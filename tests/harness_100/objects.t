# Addresses, sizes and globals as scripts for 1.00 look at them.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../harness/lib";
use Test::More;
use Qpsmtpd::Address;
use Qpsmtpd::Constants;
use Qpsmtpd::Transaction;
use Test::Qpsmtpd;

for my $case (
    ['a@b.example',          undef, undef,          'missing delimiters'],
    ['',                     undef, undef,          'missing delimiters'],
    ['<>',                   '',    undef,          'empty path'],
    ['<PostMaster>',         'postmaster', undef,   'bare postmaster'],
    ['<a@b.example>',        'a',   'b.example',    'local matches atom'],
    ['<@x.example:a@b.example>', 'a', 'b.example',  'local matches atom'],
    ['<"a@c"@b.example>',    'a@c', 'b.example'],
    ['<@b.example>',         undef, undef,          'fall through'],
    ['<nobody>'],
) {
    my ($path, @expected) = @$case;
    is_deeply([Qpsmtpd::Address->canonify($path)], \@expected, "canonify says how it came to its result: $path");
}

my $smtpd = Test::Qpsmtpd->new;
my $a = $smtpd->address('<a@b.example>');
is($a->qp, $smtpd, 'an address knows the session that made it');
push @{Qpsmtpd->hooks->{user_config}}, {
    name => 'of_users',
    code => sub { my ($qp, $transaction, $address, $name) = @_; return $name eq 'mine' ? (OK, "$address") : DECLINED },
};
is($a->config('mine'), '<a@b.example>', 'and asks there for what is its user\'s');
is($a->config('timeout'), 1200, 'and then for what is everybody\'s');

is_deeply(Qpsmtpd->transaction, {}, 'what is no session has an empty transaction');

my $transaction = Qpsmtpd::Transaction->new;
$transaction->{_body_size} = 9000;
is($transaction->data_size, 9000, 'a script says how large a message is');
$transaction->body_write("line\n");
is($transaction->data_size, 9005, 'and what is written comes on top');

{
    no warnings 'once';
    local $Qpsmtpd::Size_threshold = 5;
    is($smtpd->size_threshold, 5, 'the threshold is what the variable says');
}
done_testing;
