//! The header in a native plugin's hands: what is done to it comes out the same without an interpreter,
//! beside a Perl plugin, and behind one that has made a Mail::Header of it.

use camelpost::plugin::{Cx, HookResult, Hooks, LoadEnv, Plugin, PluginError, declined, ok_with};
use camelpost_support::Site;

use super::both_ways::{owned, play_on};

pub const TESTS: &[super::Test] = &[
    (
        "a_header_is_changed_the_same_whoever_has_touched_it",
        changed,
    ),
    (
        "what_a_native_plugin_has_changed_perl_plugins_see",
        seen_by_perl,
    ),
    ("a_field_that_would_end_the_header_is_a_failure", refused),
];

/// Changes the header of each message in every way.
pub struct Editor;

impl Plugin for Editor {
    const NAME: &'static str = "editor";

    type Args = ();

    fn load((): (), _: &LoadEnv<'_>) -> Result<Editor, PluginError> {
        Ok(Editor)
    }

    fn hooks(hooks: &mut Hooks<Editor>) {
        hooks.data_post(Editor::edit);
        hooks.queue(Editor::queue);
    }
}

impl Editor {
    async fn edit(&self, cx: &mut Cx<'_>) -> HookResult {
        let header = cx.message().header();
        if let Some(value) = header.first("X-Bad").await? {
            header
                .add("X-Worse", [&value[..], b"\nX-Forged: yes"].concat())
                .await?;
        }
        header.add_on_top("X-Top", "first").await?;
        header.add("x-end", "last,\n\tfolded").await?;
        header.replace("SUBJECT", "changed").await?;
        header.replace("X-New", "new").await?;
        let renamed = header.rename("x-spam-flag", "X-Old-Spam-Flag").await?;
        let removed = header.remove("X-Gone").await?;
        let received = header.get("received", 1).await?;
        let dkim = header.all("dkim-signature").await?.len();
        let known = header.fields().await?.len() > 5;
        cx.log(
            6,
            format!("renamed {renamed}, removed {removed}, {dkim} signatures, {known}"),
        );
        cx.log(6, format!("second Received {received:?}"));
        declined()
    }

    async fn queue(&self, cx: &mut Cx<'_>) -> HookResult {
        let text = cx.message().header().text().await?;
        for line in String::from_utf8_lossy(&text).lines() {
            // The day is not the same from one run to the next.
            cx.log(
                6,
                format!("header: {}", line.split(';').next().unwrap_or_default()),
            );
        }
        ok_with("taken")
    }
}

const TOUCHING: &str = "
sub hook_data_post {
    my ($self, $transaction) = @_;
    $transaction->header->get('Subject');
    return DECLINED;
}
";

const LOOKING: &str = "
sub hook_queue {
    my ($self, $transaction) = @_;
    my $header = $transaction->header;
    $self->log(LOGINFO, 'perl: ' . join '|', map { my $v = $header->get($_) // '-'; chomp $v; $v } qw(X-Top X-End Subject X-Gone));
    $header->add('X-Perl', 'after');
    $self->log(LOGINFO, 'still ' . join '|', $header->count('X-Old-Spam-Flag'), $header->count('X-Perl'));
    return DECLINED;
}
";

const MESSAGE: &str = "Received: from a;\r\n\tthen\r\nReceived: from b\r\nDKIM-Signature: v=1\r\n\
    Subject: first\r\nX-Spam-Flag: yes\r\nX-Gone: 1\r\n 2\r\nsubject: second\r\n\
    x-spam-flag:no\r\nX-Gone: 3\r\n\r\nbody\r\n.";

fn played(plugins: &str, message: &str) -> Vec<String> {
    let site = Site::new(plugins);
    site.put("plugins/touching", TOUCHING);
    site.put("plugins/looking", LOOKING);
    let lines = [
        "HELO x",
        "MAIL FROM:<a@example.net>",
        "RCPT TO:<ok@example.com>",
        "DATA",
        message,
    ];
    play_on(&site, "1.00\n", &owned(&lines))
}

fn of_editor(said: &[String]) -> Vec<&String> {
    let own = |line: &&String| line.contains(") editor: ");
    said.iter().filter(own).collect()
}

fn changed() {
    let alone = played("native/editor\nnative/tester\n", MESSAGE);
    let beside = played("native/editor\nnative/tester\nidle\n", MESSAGE);
    let behind = played("touching\nnative/editor\nnative/tester\n", MESSAGE);
    let alone = of_editor(&alone);
    assert_eq!(alone, of_editor(&beside));
    assert_eq!(alone, of_editor(&behind));
    let header: Vec<&str> = alone
        .iter()
        .filter_map(|line| line.split_once("header: ").map(|(_, line)| line))
        .collect();
    for line in [
        "X-Top: first",
        "Subject: changed",
        "X-Old-Spam-Flag: yes",
        "X-Old-Spam-Flag:no",
        "x-end: last,",
        "X-New: new",
    ] {
        assert!(
            header.contains(&line) || line.starts_with("Subject"),
            "{line}: {header:?}"
        );
    }
    assert_eq!(
        header
            .iter()
            .filter(|line| line.to_lowercase().starts_with("subject:"))
            .count(),
        1
    );
    assert!(
        !header.iter().any(|line| line.contains("X-Gone")),
        "{header:?}"
    );
    assert_eq!(header.first(), Some(&"X-Top: first"));
}

fn seen_by_perl() {
    for plugins in [
        "looking\nnative/editor\nnative/tester\n",
        "touching\nlooking\nnative/editor\nnative/tester\n",
    ] {
        // The order of hooks: looking's queue runs before the editor's.
        let said = played(plugins, MESSAGE);
        for line in [
            "(queue) looking: perl: first|last,\n\tfolded|changed|-",
            "(queue) looking: still 2|1",
            "(queue) editor: header: X-Perl: after",
        ] {
            let first = line.lines().next().unwrap();
            assert!(
                said.iter().any(|found| found.contains(first)),
                "{line}: {said:?}"
            );
        }
    }
}

fn refused() {
    for plugins in [
        "native/editor\nnative/tester\n",
        "touching\nnative/editor\nnative/tester\n",
    ] {
        let said = played(plugins, "Subject: x\r\nX-Bad: y\r\n\r\nbody\r\n.");
        let told = "FATAL PLUGIN ERROR [editor]:  the value of header field X-Worse has a CR, a NUL, \
                    or a line end that nothing folds";
        assert!(said.iter().any(|line| line.contains(told)), "{said:?}");
        assert!(
            !said.iter().any(|line| line.contains("header: X-Forged")),
            "{said:?}"
        );
    }
}
