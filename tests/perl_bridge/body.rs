//! The body in memory and in a spool file, and the header in Mail::Header's form.

use crate::bridge::Bridge;
use crate::cases;

cases![
    a_body_reads_the_same_in_memory_and_spooled,
    a_body_is_spooled_when_it_grows_above_the_threshold,
    body_fh_reads_and_starts_again,
    a_duplicate_handle_outlives_the_transaction,
    a_header_is_what_mail_header_makes_of_it,
    an_error_outlives_what_is_left_to_mail_header,
];

const MESSAGE: &str = r#"
    my $t = Qpsmtpd::Transaction->new;
    $t->body_write("Subject: x\n\n"); $t->set_body_start;
    $t->body_write(\"one\n"); $t->body_write("two\n");
"#;

fn a_body_reads_the_same_in_memory_and_spooled(bridge: &Bridge) {
    // Positions are lines in memory, and reading does not begin anew after a write.
    for (spool, again, start) in [("", "", 2), ("$t->body_spool;", "one\n", 12)] {
        let read = r#"
            my @lines;
            $t->body_resetpos;
            while (defined(my $line = $t->body_getline)) { push @lines, $line }
            $t->body_write("three\n");
            push @lines, $t->body_getline // '';
            $t->body_resetpos;
            push @lines, '-', $t->body_getline, '-', $t->body_as_string;
            push @lines, join ',', $t->body_length, $t->data_size, $t->body_start;
            join '', @lines"#;
        assert_eq!(
            bridge.perl(&format!("{MESSAGE} {spool} {read}")),
            format!("one\ntwo\n{again}-one\n-one\ntwo\nthree\n14,26,{start}"),
            "with {spool:?}"
        );
    }
}

fn a_body_is_spooled_when_it_grows_above_the_threshold(bridge: &Bridge) {
    let text = r#"
        $t->body_write('x' x 80 . "\n") for 1 .. 200;
        my $name = $t->{_filename};
        my $size = -s $name;
        $t->body_resetpos;
        my $lines = 0;
        $lines++ while defined $t->body_getline;
        undef $t;
        join ' ', $size, $lines, -e $name ? 'there' : 'gone'"#;
    assert_eq!(bridge.perl(&format!("{MESSAGE} {text}")), "16220 202 gone");
}

fn body_fh_reads_and_starts_again(bridge: &Bridge) {
    let text = r#"
        my $memory = defined $t->body_fh ? 'handle' : 'none';
        $t->body_spool;
        $t->body_resetpos;
        my $handle = $t->body_fh;
        my @first = <$handle>;
        $t->body_resetpos;
        my $same = $t->body_fh;
        my @again = <$same>;
        my $duplicate = $t->dup_body_fh;
        seek $duplicate, 0, 0;
        my @all = <$duplicate>;
        join '|', $memory, @first, @again, scalar @all"#;
    assert_eq!(
        bridge.perl(&format!("{MESSAGE} {text}")),
        "none|one\n|two\n|one\n|two\n|4"
    );
}

fn a_duplicate_handle_outlives_the_transaction(bridge: &Bridge) {
    let text = r#"
        my $duplicate = $t->dup_body_fh;
        my $name = $t->body_filename;
        undef $t;
        seek $duplicate, 0, 0;
        my @all = <$duplicate>;
        my $open = fileno $duplicate;
        undef $duplicate;
        join ' ', scalar @all, -e $name ? 'there' : 'gone',
          -e "/proc/self/fd/$open" ? 'open' : 'closed'"#;
    assert_eq!(bridge.perl(&format!("{MESSAGE} {text}")), "4 gone closed");
}

fn a_header_is_what_mail_header_makes_of_it(bridge: &Bridge) {
    let text = r#"
        require Camelpost::Header;
        my $blank = Mail::Header->new(Modify => 0, MailFrom => 'COERCE');
        my @pieces = ("Subject: x\n", "subject:y\n", "X-Mime-Id:  z \n", "received: a\n\tb\n c\n",
          "Content-MD5: a\n", "To:\n", "To: \n", "From nobody\n", "From me: Mon\n", "no colon\n",
          "Bad Name: x\n", " folded first\n", "X: \x{e9}\n", "\xe9: x\n", "X: a\r\n", "A:b:c\n",
          "X-" . 'a' x 90 . ": x\n", 'Z: ' . 'w ' x 60 . "\n", "Q: x\n \n", "Q: x\n\t\n", "E: x",
          "\n", ":\n", ": x\n", "MIME-version: 1.0\n", "x-spam-URL-ldap-id: 1\n", "0: 1\n",
          "A-: x\n", "-A: x\n", "A--b: x\n", "DKIM-signature: v=1\n\tb=\n", "X: \0\n", "Date : x\n");
        my ($seed, $different) = (1, 0);
        my $random = sub { $seed = ($seed * 1103515245 + 12345) % 2147483648; int($seed / 65536) % $_[0] };
        local $SIG{__WARN__} = sub { };
        for my $n (1 .. 6000) {
            my $header = join '', map { $pieces[$random->(scalar @pieces)] } 0 .. $random->(6);
            my $slow = Camelpost::Header::parse($header);
            my $fast = Camelpost::Header::_filled($blank, $header) // Camelpost::Header::parse($header);
            my @added = map { my $name = $_ ? substr $pieces[$random->(scalar @pieces)], 0, $random->(9) : 'X-Ours';
                my $text = substr $pieces[$random->(scalar @pieces)], $random->(9);
                [$name, $text, (undef, 0, -1, 1, -2)[$random->(5)]] } 0 .. 4;
            my $deleted = substr $pieces[$random->(scalar @pieces)], 0, $random->(12);
            my @ways = ([$fast, map { Mail::Header->can($_) } qw(get add delete)],
                [$slow, map { Camelpost::Header->can("own_$_") } qw(get add delete)]);
            my ($one, $other) = map { my ($h, $get, $add, $delete) = @$_; join "\0", map { $_ // 'undef' }
                (map { eval { scalar $add->($h, @$_) } // $@ =~ s/ at .*//sr } @added),
                (eval { $delete->($h, $deleted), scalar $delete->($h, 'Nowhere') }),
                $h->as_string, Camelpost::Header::_shape($h),
                map { ($_, $get->($h, $_), 'first', scalar $get->($h, $_)) }
                  (sort $h->tags), 'RECEIVED', 'x-mime-id:', 'Nowhere', '' } @ways;
            next if $one eq $other;
            $different++ or print STDERR "header: $header\nfast: $one\nslow: $other\n";
        }
        my $is_ours = Mail::Header->can('get') == \&Camelpost::Header::_get;
        my $get = !$is_ours == !Camelpost::is_fast() ? 'as it should be' : 'another';
        "$different $get""#;
    assert_eq!(bridge.perl(text), "0 as it should be");
}

fn an_error_outlives_what_is_left_to_mail_header(bridge: &Bridge) {
    let text = r#"
        require Camelpost::Header;
        my $header = Mail::Header->new(Modify => 0);
        eval { die "oops\n" };
        $header->add('X-Error', $@);
        $header->get('X-Never-Asked-For');
        join '|', map { s/\n//r } $header->get('X-Error', 0), $@"#;
    assert_eq!(bridge.perl(text), "oops|oops");
}
