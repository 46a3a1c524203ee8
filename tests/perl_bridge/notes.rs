//! Notes, which both languages share, and the keys of a transaction's hash.

use camelpost::mail::Note;

use crate::bridge::Bridge;
use crate::cases;

cases![
    a_note_keeps_its_type,
    a_note_keeps_what_it_refers_to,
    notes_are_shared_with_rust,
    notes_are_apart_by_object,
    the_recipients_key_is_read_and_assigned,
    the_keys_of_a_connection_and_of_a_transaction_are_read_and_assigned,
    the_body_array_key_is_read_and_assigned,
    the_keys_of_the_spool_file_are_read,
    a_replaced_notes_destructor_may_set_notes,
];

/// `kind(VALUE)`: I, N, P for a number, a float, a string; U for the UTF-8 flag; R for a reference.
const KIND: &str = r#"
    no warnings 'redefine';
    sub kind {
        my $flags = B::svref_2object(\$_[0])->FLAGS;
        join '', map { $flags & $_->[1] ? $_->[0] : () } ['I', B::SVf_IOK], ['N', B::SVf_NOK],
          ['P', B::SVf_POK], ['U', B::SVf_UTF8], ['R', B::SVf_ROK];
    }
    my $c = $qp->connection;
"#;

fn a_note_keeps_its_type(bridge: &Bridge) {
    for (value, kind, text) in [
        ("5", "I", "5"),
        ("-9223372036854775808", "", "-9223372036854775808"),
        ("1.5", "N", "1.5"),
        ("'abc'", "P", "abc"),
        ("''", "P", ""),
        ("\"\\x{263a}\"", "PU", "\u{263a}"),
        ("\"\\0\\xff\"", "P", "\0\u{fffd}"),
        ("'007'", "P", "007"),
        ("18446744073709551615", "I", "18446744073709551615"),
    ] {
        let perl = format!("{KIND} $c->notes(n => {value}); my $n = $c->notes('n');");
        assert_eq!(bridge.perl(&format!("{perl} $n")), text, "{value}");
        if !kind.is_empty() {
            assert_eq!(bridge.perl(&format!("{perl} kind($n)")), kind, "{value}");
        }
    }
    let undef = "$qp->connection->notes(n => undef); defined $qp->connection->notes('n') ? 1 : 0";
    assert_eq!(bridge.perl(undef), "0");
    let both = r#"$qp->connection->notes(n => Scalar::Util::dualvar(5, 'five'));
        my $n = $qp->connection->notes('n'); "$n " . ($n + 0)"#;
    assert_eq!(bridge.perl(both), "five 5");
    let error = r#"$! = 2; $qp->connection->notes(n => $!); $! = 0;
        my $n = $qp->connection->notes('n'); ($n + 0) . ($n =~ /No such file/ ? ' text' : '')"#;
    assert_eq!(bridge.perl(error), "2 text");
}

fn a_note_keeps_what_it_refers_to(bridge: &Bridge) {
    let text = r#"
        my ($list, $code) = ([1, 2], sub { 'called' });
        my $c = $qp->connection;
        $c->notes(list => $list); $c->notes(code => $code); $c->notes(object => $qp->transaction);
        push @{$c->notes('list')}, 3;
        join ' ', "@$list", $c->notes('code')->(), $c->notes('code') == $code ? 'same' : 'other',
          ref $c->notes('object')"#;
    assert_eq!(bridge.perl(text), "1 2 3 called same Qpsmtpd::Transaction");
    let weak = r#"
        my $object = {}; my $weak = $object; Scalar::Util::weaken($weak);
        $qp->connection->notes(weak => $weak); undef $object;
        ref $qp->connection->notes('weak')"#;
    assert_eq!(bridge.perl(weak), "HASH", "a note holds what it refers to");
}

fn notes_are_shared_with_rust(bridge: &Bridge) {
    let connection = bridge.host.present.port().connection();
    connection.notes.set(b"int", Note::Int(5));
    connection
        .notes
        .set(b"text", Note::Text("\u{263a}".to_owned()));
    connection
        .notes
        .set(b"bytes", Note::Bytes(b"\xff".to_vec()));
    let kinds = "join ' ', map { kind(scalar $c->notes($_)) } qw(int text bytes)";
    assert_eq!(bridge.perl(&format!("{KIND} {kinds}")), "I PU P");
    bridge.perl("$qp->connection->notes(from_perl => 'x'); $qp->connection->notes(n => 7)");
    assert_eq!(connection.notes.bytes(b"from_perl"), Some(b"x".to_vec()));
    assert!(matches!(connection.notes.get(b"n"), Some(Note::Int(7))));
    bridge.perl("$qp->connection->notes(list => [1])");
    let Some(Note::Foreign(list)) = connection.notes.get(b"list") else {
        panic!("a reference is Perl's");
    };
    connection.notes.set(b"again", Note::Foreign(list));
    assert_eq!(bridge.perl("$qp->connection->notes('again')->[0]"), "1");
}

fn notes_are_apart_by_object(bridge: &Bridge) {
    let text = r#"
        my ($one, $other) = map { address('<a@b.example>') } 1, 2;
        $one->notes(n => 1);
        $qp->transaction->notes(n => 2);
        my $clone = $qp->connection->clone; $qp->connection->notes(n => 3);
        join ' ', map { my $n = $_->notes('n'); defined $n ? $n : 'undef' }
          $one, $other, $qp->transaction, $clone"#;
    assert_eq!(bridge.perl(text), "1 undef 2 undef");
}

fn the_recipients_key_is_read_and_assigned(bridge: &Bridge) {
    let text = r#"
        my $t = $qp->transaction;
        $t->add_recipient(address('<a@b.example>'));
        my @before = map { "$_" } @{$t->{_recipients}}, @{$t->{_rcpt}};
        $t->{_recipients} = [address('<c@d.example>'), address('<e@f.example>'), 'no address'];
        join ' ', @before, '-', $t->recipients"#;
    assert_eq!(
        bridge.perl(text),
        "<a@b.example> <a@b.example> - <c@d.example> <e@f.example> no address"
    );
    let odd = r#"
        my $t = $qp->transaction;
        { package Odd; sub TIEARRAY { bless [] } sub FETCHSIZE { die "size\n" } sub FETCH { die } }
        tie my @tied, 'Odd';
        eval { $t->{_recipients} = $_ } for \@tied, undef, 5, {}, sub { 1 }, [undef, [], \1];
        scalar $t->recipients"#;
    // What is defined stands for an address by its text.
    assert_eq!(bridge.perl(odd), "2");
}

fn the_body_array_key_is_read_and_assigned(bridge: &Bridge) {
    let text = r#"
        my $t = $qp->transaction;
        $t->body_write("one\ntwo\n");
        my $lines = @{$t->{_body_array}};
        $t->{_body_array} = ["three\n", "four\n", "five\n"];
        $t->{_body_current_pos} = 0;
        join ' ', $lines, $t->data_size, map { chomp; $_ } map { $t->body_getline } 1 .. 3"#;
    assert_eq!(bridge.perl(text), "2 16 three four five");
}

fn the_keys_of_the_spool_file_are_read(bridge: &Bridge) {
    let text = r#"
        my $t = $qp->transaction;
        $t->body_write("one\ntwo\n");
        my $before = defined $t->{_filename} || defined $t->{_body_file} ? 'early' : 'none';
        $t->body_spool;
        my $handle = $t->{_body_file};
        seek $handle, 0, 0;
        my $line = <$handle>;
        chomp $line;
        join ' ', $before, $t->{_filename} eq $t->body_filename ? 'named' : 'other', $line,
          defined $t->{_body_array} ? 'array' : 'none'"#;
    assert_eq!(bridge.perl(text), "none named one none");
}

fn a_replaced_notes_destructor_may_set_notes(bridge: &Bridge) {
    let text = r#"
        { package Noisy; sub DESTROY { my $c = $main::qp->connection; $c->notes(n => 'late');
            $c->notes(other => $main::qp->config('me')) } }
        $qp->connection->notes(n => bless {}, 'Noisy');
        $qp->connection->notes(n => 'new');
        join ' ', map { $qp->connection->notes($_) } qw(n other)"#;
    assert_eq!(bridge.perl(text), "late test.example");
}

fn the_keys_of_a_connection_and_of_a_transaction_are_read_and_assigned(bridge: &Bridge) {
    let text = r#"
        my $c = $qp->connection;
        $c->remote_ip('192.0.2.1'); $c->hello_host('there'); $c->notes(known => [1, 2]);
        my @seen = (@$c{qw(_remote_ip _hello_host)}, $c->{_notes}{known}[1], exists $c->{_notes}{other} ? 1 : 0);
        $c->{_remote_ip} = '192.0.2.2'; $c->{_relay_client} = 1; $c->{_notes}{other} = 'new';
        push @seen, $c->remote_ip, $c->relay_client, $c->notes('other'), join ',', sort keys %{$c->{_notes}};
        delete $c->{_notes}{known}; $c->{_notes} = { %{$c->{_notes}}, more => 5 };
        push @seen, join ',', sort keys %{$c->{_notes}};
        my $t = $qp->transaction;
        $t->sender(address('<a@b.example>')); $t->notes(n => 1);
        push @seen, "$t->{_sender}", $t->{_notes}{n}, defined $t->{_header} ? 1 : 0;
        $t->{_sender} = address('<c@d.example>');
        $t->{_header} = Mail::Header->new(["A: b\n"]);
        push @seen, $t->sender, ref $t->header, $t->{started} > 1e9 ? 1 : 0;
        join ' ', @seen"#;
    assert_eq!(
        bridge.perl(text),
        "192.0.2.1 there 2 0 192.0.2.2 1 new known,other more,other \
         <a@b.example> 1 0 <c@d.example> Mail::Header 1"
    );
}
