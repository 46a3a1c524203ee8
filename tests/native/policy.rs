//! Policy in native plugins, beside a Perl plugin of the same name that calls the same methods: verdicts,
//! notes and log lines are the same.

use camelpost::hook::Code;
use camelpost::plugin::{
    CommandCx, Cx, HookResult, Hooks, LoadEnv, Plugin, PluginError, declined, deny,
};
use camelpost_support::Site;

use super::both_ways::{owned, play_on};

pub const TESTS: &[super::Test] = &[
    ("policy_says_and_does_what_the_perl_plugin_s_does", same),
    ("a_line_s_loglevel_moves_a_native_plugin_s_lines", loglevel),
];

/// Judges everything.
pub struct Judge;

impl Plugin for Judge {
    const NAME: &'static str = "judge";
    const REJECTS: bool = true;

    type Args = ();

    fn load((): (), _: &LoadEnv<'_>) -> Result<Judge, PluginError> {
        Ok(Judge)
    }

    fn hooks(hooks: &mut Hooks<Judge>) {
        hooks.noop(async |_: &Judge, cx: &mut Cx<'_>| match cx.is_immune() {
            true => declined(),
            false => cx.get_reject("not you", "as ever"),
        });
        hooks.unrecognized_command(Judge::command);
    }
}

impl Judge {
    async fn command(&self, cx: &mut CommandCx<'_>) -> HookResult {
        match cx.verb() {
            b"plain" => return cx.get_reject("", ""),
            b"type" => {
                let named = cx.get_reject_type(Code::DenySoft);
                cx.log(6, named.number().unwrap_or_default().to_string());
            }
            b"karma" => {
                cx.adjust_karma(-2);
                cx.adjust_karma(5);
            }
            b"results" => {
                cx.store_auth_results("spf=pass");
                cx.store_auth_results("dkim=fail");
            }
            b"naughty" => {
                let is = cx.is_naughty();
                cx.log(6, format!("naughty {}", u8::from(is)));
            }
            b"spoil" => cx.set_naughty("spoiled"),
            b"trust" => cx.client().set_may_relay(true),
            b"list" => cx.notes().set("whitelisthost", 1),
            b"sender" => cx.envelope().notes().set("whitelistsender", "yes"),
            b"notes" => {
                let names = [
                    "naughty",
                    "naughty_reject_type",
                    "rejected",
                    "karma",
                    "authentication_results",
                ];
                let values =
                    names.map(|name| cx.notes().text(name).unwrap_or_else(|| "-".to_owned()));
                return deny(values.join("|").replace("\r\n", "/"));
            }
            _ => {}
        }
        declined()
    }
}

const PERL: &str = r#"
sub register { my ($self, $qp, %args) = @_; $self->{_args} = {%args}; }

sub hook_noop {
    my $self = shift;
    return DECLINED if $self->is_immune;
    return $self->get_reject('not you', 'as ever');
}

sub hook_unrecognized_command {
    my ($self, $transaction, $verb) = @_;
    return $self->get_reject if $verb eq 'plain';
    if ($verb eq 'type') { $self->log(LOGINFO, $self->get_reject_type(DENYSOFT)) }
    if ($verb eq 'karma') { $self->adjust_karma(-2); $self->adjust_karma(5) }
    if ($verb eq 'results') { $self->store_auth_results('spf=pass'); $self->store_auth_results('dkim=fail') }
    if ($verb eq 'naughty') { $self->log(LOGINFO, 'naughty ' . ($self->is_naughty ? 1 : 0)) }
    if ($verb eq 'spoil') { $self->is_naughty('spoiled') }
    if ($verb eq 'trust') { $self->connection->relay_client(1) }
    if ($verb eq 'list') { $self->connection->notes('whitelisthost', 1) }
    if ($verb eq 'sender') { $transaction->notes('whitelistsender', 'yes') }
    if ($verb eq 'notes') {
        my $all = join '|', map { $self->connection->notes($_) // '-' }
            qw(naughty naughty_reject_type rejected karma authentication_results);
        $all =~ s/\r\n/\//g;
        return DENY, $all;
    }
    return DECLINED;
}
"#;

fn same() {
    let dialogues: [&[&str]; 4] = [
        &["HELO x", "NOOP", "PLAIN", "NOTES", "TYPE", "NOTES"],
        &[
            "HELO x", "KARMA", "RESULTS", "NAUGHTY", "SPOIL", "NAUGHTY", "NOOP", "NOTES",
        ],
        &["HELO x", "LIST", "NOOP", "NOTES"],
        &["HELO x", "NOOP", "SENDER", "NOOP", "TRUST", "NOOP"],
    ];
    let args = [
        "",
        " reject 0",
        " reject 1 reject_type temp",
        " reject naughty reject_type disconnect",
        " reject naughty",
        " reject_type temp_disconnect loglevel +1",
    ];
    for profile in ["0.94\n", "1.00\n"] {
        for (at, args) in args.iter().enumerate() {
            let lines = owned(dialogues[at % dialogues.len()]);
            let played = |plugins: &str| {
                let site = Site::new(plugins);
                site.put("plugins/judge", PERL);
                play_on(&site, profile, &lines)
            };
            let perl = played(&format!("judge{args}\n"));
            let native = played(&format!("native/judge{args}\n"));
            let beside = played(&format!("native/judge{args}\nidle\n"));
            assert_eq!(native, perl, "{profile}{args}");
            assert_eq!(beside, perl, "{profile}{args}");
        }
    }
}

fn loglevel() {
    for (args, seen) in [
        ("", true),
        (" loglevel 7", false),
        (" loglevel +1", false),
        (" loglevel -1", true),
    ] {
        let site = Site::new(&format!("native/judge{args}\n"));
        site.put("config/loglevel", "6\n");
        let daemon = super::wrong::Daemon::start(&site);
        let mut client = daemon.connect();
        client.reply();
        client.say("NOOP");
        drop(client);
        daemon.stop();
        let found = site.read("run/log").contains("judge: fail, as ever");
        assert_eq!(found, seen, "{args}");
    }
}
