//! Objects: state, identity, private keys.

use crate::bridge::Bridge;
use crate::cases;

cases![
    an_objects_state_lives_as_long_as_its_last_perl_reference,
    a_transaction_that_is_kept_still_answers_after_its_end,
    an_object_keeps_its_identity_and_private_keys_while_its_slot_lives,
    an_element_may_outlive_the_object_that_it_was_read_from,
    what_is_done_to_the_recipients_in_a_map_stays_there,
    a_localised_key_is_a_plain_one,
    new_on_a_subclass_and_on_an_object,
    an_object_in_a_note_on_itself_answers,
    a_copy_of_an_objects_hash_is_no_object,
];

fn an_objects_state_lives_as_long_as_its_last_perl_reference(bridge: &Bridge) {
    let address =
        r#"my $one = address('<a@b.example>'); my $other = $one; undef $one; $other->host"#;
    assert_eq!(bridge.perl(address), "b.example");
    let file = r#"
        our $kept = $qp->transaction;
        $kept->body_write("x\n"); our $name = $kept->body_filename;
        $qp->transaction(Qpsmtpd::Transaction->new);
        -e $name ? 'there' : 'gone'"#;
    assert_eq!(bridge.perl(file), "there");
    bridge.perl("undef $kept");
    assert_eq!(bridge.perl("-e $name ? 'there' : 'gone'"), "gone");
}

fn a_transaction_that_is_kept_still_answers_after_its_end(bridge: &Bridge) {
    let text = r#"
        my $kept = $qp->transaction;
        $kept->sender(address('<a@b.example>'));
        $kept->add_recipient(address('<c@d.example>'));
        $kept->notes(n => [7]);
        $qp->transaction(Qpsmtpd::Transaction->new);
        join ' ', $kept->sender, $kept->recipients, $kept->notes('n')->[0],
          $qp->transaction->sender || 'none'"#;
    assert_eq!(bridge.perl(text), "<a@b.example> <c@d.example> 7 none");
}

fn an_object_keeps_its_identity_and_private_keys_while_its_slot_lives(bridge: &Bridge) {
    let text = r#"
        $qp->transaction->{_mine} = 1; $qp->connection->{_mine} = 2;
        $qp->transaction->sender(address('<a@b.example>'));
        $qp->transaction->sender->{_mine} = 3;
        $qp->transaction->add_recipient(address('<c@d.example>'));
        ($qp->transaction->recipients)[0]{_mine} = 4;
        join ' ', $qp->transaction == $qp->transaction ? 'same' : 'other',
          $qp->transaction->{_mine}, $qp->connection->{_mine},
          $qp->transaction->sender->{_mine}, ($qp->transaction->recipients)[0]{_mine}"#;
    assert_eq!(bridge.perl(text), "same 1 2 3 4");
}

fn an_element_may_outlive_the_object_that_it_was_read_from(bridge: &Bridge) {
    let text = r#"
        my $element;
        {
            my $gone = Qpsmtpd::Transaction->new;
            $gone->add_recipient(address('<c@d.example>'));
            $element = \$gone->{_recipients};
        }
        my @fill = map { Qpsmtpd::Transaction->new } 1 .. 100;
        join ' ', map { "$_" } @$$element"#;
    assert_eq!(bridge.perl(text), "<c@d.example>");
}

fn what_is_done_to_the_recipients_in_a_map_stays_there(bridge: &Bridge) {
    let text = r#"
        my $t = $qp->transaction;
        $t->add_recipient(address('<c@d.example>'));
        my @plain = map { s/[<>]//g; $_ } $t->recipients;
        $_ = 'overwritten' for $t->sender(address('<a@b.example>')), $qp->transaction, $qp->connection;
        join ' ', @plain, ($t->recipients)[0]->host, $t->sender->host, ref $qp->transaction,
          ref $qp->connection"#;
    assert_eq!(
        bridge.perl(text),
        "c@d.example d.example b.example Qpsmtpd::Transaction Qpsmtpd::Connection"
    );
}

fn a_localised_key_is_a_plain_one(bridge: &Bridge) {
    let text = r#"
        my $t = $qp->transaction;
        $t->add_recipient(address('<c@d.example>'));
        my $inside = do { local $t->{_filename} = 'mine'; $t->{_filename} };
        join ' ', $inside, scalar $t->recipients"#;
    assert_eq!(bridge.perl(text), "mine 1");
}

fn new_on_a_subclass_and_on_an_object(bridge: &Bridge) {
    let text = r#"
        @My::Address::ISA = 'Qpsmtpd::Address';
        @My::Transaction::ISA = 'Qpsmtpd::Transaction';
        join ' ', ref My::Address->new('<a@b.example>'), ref My::Transaction->new,
          ref $qp->connection->new, ref $qp->transaction->new"#;
    assert_eq!(
        bridge.perl(text),
        "My::Address My::Transaction Qpsmtpd::Connection Qpsmtpd::Transaction"
    );
}

fn an_object_in_a_note_on_itself_answers(bridge: &Bridge) {
    let text = r#"
        my $t = Qpsmtpd::Transaction->new;
        $t->notes(self => $t);
        my $same = $t->notes('self') == $t;
        $t->notes(self => undef);
        $same ? 'same' : 'other'"#;
    assert_eq!(bridge.perl(text), "same");
}

fn a_copy_of_an_objects_hash_is_no_object(bridge: &Bridge) {
    let text = r#"
        my $copy = bless {%{$qp->transaction}}, 'Qpsmtpd::Transaction';
        eval { $copy->notes('x') };
        $@ =~ /^not a Qpsmtpd::Transaction object at / ? 'refused' : "otherwise: $@""#;
    assert_eq!(bridge.perl(text), "refused");
}
