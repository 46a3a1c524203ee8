//! Keys of a session's connection and transaction: those of an object that nobody has looked into
//! yet are the same as those of one that somebody has, however they are asked for.

use crate::server::{Client, RUNNER, Server};

/// Ways to look at the keys of `$t`.
const LOOKS: &[&str] = &[
    "$t->{_sender}",
    "$t->{_sender}->user",
    "exists $t->{_sender}, exists $t->{_other}",
    "join ',', sort keys %$t",
    "scalar(() = %$t)",
    "scalar(grep defined, values %$t)",
    "my %copy = %$t; join ',', sort keys %copy; $copy{_sender}",
    "my ($sender, $size) = @{$t}{qw(_sender _body_size)}; qq($sender $size)",
    "my %part = %$t{qw(_sender)}; %part",
    "my $ref = \\$t->{_sender}; qq($$ref)",
    "my $seen; while (my ($key, $value) = each %$t) { $seen = $value if $key eq '_sender' } qq($seen)",
    "delete $t->{_sender}; exists $t->{_sender} ? 'there' : 'gone'",
    "{ local $t->{_sender} = 7; $t->{_sender} }",
    "$t->{_own} = 5; join ',', $t->{_own}, scalar(keys %$t)",
    "for ($t->{_sender}) { return qq($_) }",
    "$t->{_sender} = Qpsmtpd::Address->new('<z@z.example>'); qq($t->{_sender} ) . $t->sender",
    "my $code = sub { $_[0] }; qq(@{[ $code->($t->{_sender}) ]})",
    "require Data::Dumper; local $Data::Dumper::Indent = 0; local $Data::Dumper::Sortkeys = 1; Data::Dumper::Dumper($t) =~ s/\\d+-\\w+\\.\\d+|\\d{9,}/N/gr",
    "require Data::Dumper; local $Data::Dumper::Useperl = 1; local $Data::Dumper::Sortkeys = 1; local $Data::Dumper::Indent = 0; Data::Dumper::Dumper($t) =~ s/\\d+-\\w+\\.\\d+|\\d{9,}/N/gr",
    "require Storable; my $copy = Storable::dclone({%$t{_notes}}); ref $copy->{_notes}",
    "my $all = 0; $all += !!$_ for map { $_->{_sender} } $t, $t; $all",
];

const DUMP: &str = "require Data::Dumper; local $Data::Dumper::Indent = 0;";

fn begun(server: &Server, user: &str) -> Client {
    let mut client = server.connect();
    client.expect(&format!("HELO {user}.example"), "250");
    client.expect(&format!("MAIL FROM:<{user}@a.example>"), "250");
    client
}

fn server() -> Server {
    Server::start_with_one_worker(&[RUNNER])
}

#[test]
fn however_they_are_asked_for_they_are_those_of_an_object_that_was_looked_into() {
    let server = server();
    let mut client = begun(&server, "user");
    for look in LOOKS {
        let ask = format!("my $t = $qp->transaction; {look}");
        let mut answers = ["", "my $first = $qp->transaction->{_header};"].map(|before| {
            client.expect("RSET", "250");
            client.expect("MAIL FROM:<user@a.example>", "250");
            client.run(&format!("{before} {ask}"))
        });
        // The memory of a body that is looked at may differ, not what is said of it.
        answers
            .iter_mut()
            .for_each(|answer| *answer = answer.replace('\n', " "));
        assert_eq!(answers[0], answers[1], "{look}");
        assert!(!answers[0].starts_with("died"), "{look}: {}", answers[0]);
    }
}

#[test]
fn a_walk_in_c_finds_the_sessions_own() {
    let server = server();
    let users = ["one", "two", "three"];
    let mut clients = users.map(|user| begun(&server, user));
    for _ in 0..2 {
        for (client, user) in clients.iter_mut().zip(users) {
            let all = client.run(&format!(
                "{DUMP} Data::Dumper::Dumper([$qp->transaction, $qp->connection])"
            ));
            assert!(all.contains(&format!("'_user' => '{user}'")), "{all}");
            assert!(
                all.contains(&format!("'_hello_host' => '{user}.example'")),
                "{all}"
            );
            for other in users.iter().filter(|other| **other != user) {
                assert!(!all.contains(other), "{all}");
            }
            client.expect("RSET", "250");
            client.expect(&format!("MAIL FROM:<{user}@a.example>"), "250");
        }
    }
}

#[test]
fn an_object_that_is_kept_goes_on_showing_its_own() {
    let server = server();
    let mut client = begun(&server, "old");
    client.run("$qp->connection->notes(old => $qp->transaction)");
    client.expect("RSET", "250");
    client.expect("MAIL FROM:<new@a.example>", "250");
    let old = client.run(&format!(
        "{DUMP} Data::Dumper::Dumper($qp->connection->notes('old'))"
    ));
    assert!(old.contains("'_user' => 'old'"), "{old}");
    assert!(!old.contains("'_user' => 'new'"), "{old}");
    client
        .run("my $t = $qp->transaction; $qp->reset_transaction; $qp->connection->notes(old => $t)");
    let old = client.run("$qp->connection->notes('old')->{_sender}");
    assert_eq!(old, "<new@a.example>");
}

#[test]
fn what_a_walk_has_found_ends_with_its_object() {
    let server = server();
    let mut client = begun(&server, "user");
    client.run(
        "sub Ends::DESTROY { $Ends::count++ } $qp->transaction->notes(held => bless [], 'Ends')",
    );
    client.run(&format!(
        "{DUMP} length Data::Dumper::Dumper($qp->transaction)"
    ));
    assert_eq!(client.run("$Ends::count"), "undef");
    client.expect("RSET", "250");
    assert_eq!(client.run("$Ends::count"), "1");
}

#[test]
fn what_a_walk_has_found_is_not_there_for_others() {
    let server = server();
    let mut clients = ["one", "two"].map(|user| begun(&server, user));
    clients[0].run(&format!(
        "{DUMP} length Data::Dumper::Dumper([$qp->transaction, $qp->connection])"
    ));
    // Without asking any element for what it shows.
    let left = clients[1].run(
        "require B; my %left; for ($qp->transaction, $qp->connection) { my @all = B::svref_2object($_)->ARRAY; \
         while (my ($key, $element) = splice @all, 0, 2) { $left{$key}++ if $element->FLAGS & (B::SVf_POK() | B::SVf_ROK() | B::SVf_IOK()) } } \
         join ' ', scalar(keys %left), sort keys %left",
    );
    assert_eq!(left.trim(), "0");
}
