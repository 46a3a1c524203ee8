//! The faults: what each is, and the Perl code that commits it, run in a plugin's hook.

/// The plugin whose calls may take a second.
pub const FAULTY: &str = "faulty";
/// The one whose calls may take any time.
pub const PATIENT: &str = "patient";

/// A fault.
pub struct Fault {
    /// The plugin that commits it.
    pub plugin: &'static str,
    /// What the plugin does, as the table has it.
    pub what: &'static str,
    /// The body of a method, `$self` and `$transaction` set.
    pub perl: &'static str,
    /// What the process dies of depends on what it misses first.
    pub dies_anyhow: bool,
    /// Only root can.
    pub as_root: bool,
    /// The log says this before the session goes on.
    pub awaited: Option<&'static str>,
}

const fn fault(what: &'static str, perl: &'static str) -> Fault {
    Fault {
        plugin: FAULTY,
        what,
        perl,
        dies_anyhow: false,
        as_root: false,
        awaited: None,
    }
}

const fn fatal(what: &'static str, perl: &'static str) -> Fault {
    Fault {
        dies_anyhow: true,
        ..fault(what, perl)
    }
}

const fn patient(what: &'static str, perl: &'static str) -> Fault {
    Fault {
        plugin: PATIENT,
        ..fault(what, perl)
    }
}

const fn as_root(what: &'static str, perl: &'static str) -> Fault {
    Fault {
        as_root: true,
        ..fault(what, perl)
    }
}

/// A heading of the table, and the faults under it.
pub const GROUPS: &[(&str, &[Fault])] = &[
    ("Crashes and exits", CRASHES),
    ("Calls that do not end", ENDLESS),
    ("Memory", MEMORY),
    ("Processes left behind", CHILDREN),
    ("Descriptors and handles", DESCRIPTORS),
    ("The state of the process", STATE),
    ("Perl's own state", PERL),
];

const CRASHES: &[Fault] = &[
    fault("dies", "die \"broken\\n\""),
    fault("dies with an object", "die { why => 'broken' }"),
    fault("`exit 3`", "exit 3"),
    fault("`eval { exit }`", "eval { exit }"),
    fault("`POSIX::_exit(7)`", "POSIX::_exit(7)"),
    fault("`exec 'true'`", "exec 'true'"),
    fault(
        "reads a wild pointer (`unpack 'p'`), as broken XS code does",
        "unpack 'p', pack 'J', 8",
    ),
    fault(
        "`kill KILL => $$`, which is no process",
        "kill KILL => $$; 1",
    ),
    fault(
        "`SIGSEGV`, sent by itself",
        "kill SEGV => readlink('/proc/self') =~ /(.+)/ for 1, 2",
    ),
    fault("`POSIX::abort()`", "POSIX::abort()"),
    fault(
        "`SIGKILL`, sent by itself",
        "kill KILL => readlink('/proc/self') =~ /(.+)/; sleep 5",
    ),
    fault(
        "`SIGTERM`, sent by itself",
        "kill TERM => readlink('/proc/self') =~ /(.+)/; sleep 5",
    ),
    patient(
        "calls itself through C without end, until the C stack is full",
        "package Deep; use overload '\"\"' => sub { no warnings; \"$_[0]\" }; \
         my $text = '' . bless [], 'Deep'",
    ),
];

const ENDLESS: &[Fault] = &[
    fault("loops", "1 while 1"),
    fault(
        "loops, and its `eval` swallows what it is interrupted with",
        "while (1) { eval { 1 while 1 } }",
    ),
    fault("sleeps", "sleep 1000"),
    fault(
        "stops itself (`SIGSTOP`)",
        "kill STOP => readlink('/proc/self') =~ /(.+)/; 1",
    ),
    fault(
        "blocks all signals and sleeps",
        "my $all = POSIX::SigSet->new; $all->fillset; \
         POSIX::sigprocmask(POSIX::SIG_BLOCK(), $all); sleep 1000",
    ),
];

const MEMORY: &[Fault] = &[
    patient(
        "takes ever more",
        "my @all; while (1) { push @all, 'x' x 1_000_000; select undef, undef, undef, 0.01 }",
    ),
    patient(
        "calls itself without end",
        "no warnings; my $deeper; $deeper = sub { select undef, undef, undef, 0.0003; \
         $deeper->(@_, 1) }; $deeper->()",
    ),
    patient(
        "matches an expression that contains itself",
        "use re 'eval'; my $all; $all = qr/a(??{ 1 for 1 .. 100; $all })/; ('a' x 10_000_000) =~ $all",
    ),
    Fault {
        awaited: Some("more than the 32 of --worker-memory"),
        ..fault(
            "keeps 40 MB (`--worker-memory 32M`)",
            "our @kept; push @kept, 'x' x 40_000_000",
        )
    },
];

const CHILDREN: &[Fault] = &[
    fault(
        "leaves a child that has the client's socket",
        "child() or do { sleep 60; POSIX::_exit(0) }",
    ),
    fault("leaves a zombie", "child() or POSIX::_exit(0)"),
    fault(
        "leaves a daemon (`setsid`, a grandchild)",
        "child() or do { POSIX::setsid(); child() or sleep 60; POSIX::_exit(0) }",
    ),
    fault(
        "has a child that kills its parent",
        "child() or do { kill KILL => getppid; POSIX::_exit(0) }; sleep 5",
    ),
    fault(
        "makes a process group of its own and kills it",
        "setpgrp; kill HUP => 0; sleep 5",
    ),
];

const DESCRIPTORS: &[Fault] = &[
    fault("closes STDIN and STDOUT", "close STDIN; close STDOUT"),
    fault(
        "closes descriptors 0 and 1",
        "POSIX::close(0); POSIX::close(1)",
    ),
    fault("undefines *STDOUT", "undef *STDOUT"),
    fault("closes STDERR", "close STDERR"),
    fault("closes descriptor 2", "POSIX::close(2)"),
    fault(
        "opens STDERR on a file",
        "open STDERR, '>', '/dev/null' or die",
    ),
    fatal(
        "closes the descriptors 3 to 50, which are the host's",
        "POSIX::close($_) for 3 .. 50",
    ),
];

const STATE: &[Fault] = &[
    fault("`chdir '/proc'`", "chdir '/proc' or die"),
    fault(
        "changes to a directory and removes it",
        "mkdir 'gone'; chdir 'gone' or die; rmdir '../gone' or die",
    ),
    fault("`umask 0777`", "umask 0777"),
    fault(
        "leaves a handler and an alarm",
        "$SIG{ALRM} = sub { die \"alarm\\n\" }; alarm 1",
    ),
    fault("leaves an alarm without a handler", "alarm 1"),
    fault(
        "ignores TERM, CHLD, PIPE and URG",
        "$SIG{$_} = 'IGNORE' for qw(TERM CHLD PIPE URG)",
    ),
    fault(
        "blocks all signals",
        "my $all = POSIX::SigSet->new; $all->fillset; POSIX::sigprocmask(POSIX::SIG_BLOCK(), $all)",
    ),
    fault("changes %ENV", "%ENV = (PATH => '/none', RELAYCLIENT => 1)"),
    fault("`setsid`", "POSIX::setsid()"),
    fault(
        "lowers a resource limit",
        "my ($me) = readlink('/proc/self') =~ /(.+)/; system 'prlimit', \"--pid=$me\", '--nofile=64:64'",
    ),
    as_root("changes its user, as root", "$> = 65534 if !$>"),
    as_root("changes its root directory, as root", "chroot '/usr'"),
];

const PERL: &[Fault] = &[
    fault(
        "changes `$/ $\\ $,` and the selected handle",
        "$/ = 'x'; $\\ = 'y'; $, = 'z'; $| = 1; select STDERR",
    ),
    fault(
        "`$SIG{__DIE__}` and `$SIG{__WARN__}` exit",
        "$SIG{__DIE__} = $SIG{__WARN__} = sub { exit }",
    ),
    fault(
        "dies within `local $/`, `local $SIG{ALRM}`, `local %ENV`",
        "local $/ = 'x'; local $SIG{ALRM} = sub { }; local %ENV; alarm 1; die \"within\\n\"",
    ),
    fault("undefines the table of hooks", "undef $Qpsmtpd::hooks"),
    fault("empties the table of hooks", "%{$self->qp->hooks} = ()"),
];
