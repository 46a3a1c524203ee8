//! `camelpost migrate`: copies the config directory of a qpsmtpd for Camelpost, keeps the options that it is started with, says what both
//! would share and how to switch over and back, and checks the copy. The old server, its files and its scripts stay as they are.

mod copy;
mod edits;
mod log_script;
mod packaged;
mod reach;
mod report;
mod root;
mod rotation;
mod serve;
mod shared;
mod source;
mod spool;
mod stage;
mod start;
mod supervised;
mod switch;
mod version;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use self::edits::Edits;
use self::reach::Reach;
use self::report::{Item, Report, comment, quoted};
use self::root::{Root, why};
use self::serve::Serve;
use self::source::{Entry, Kind, Source};
use self::stage::{Instances, Place};
pub(crate) use self::start::fuzz_start;
use self::switch::{DROP_IN, Machine, OWN};
use super::check;
use super::who::Who;
use crate::config::{ConfigDir, own_limits};

#[derive(Debug, Args)]
#[command(after_help = "\
The old server is not touched: it may run meanwhile. The copy is whole or not there. What was read, changed and left, and the \
commands for the switch and the way back, are printed, and kept in DIR/migrated/README; docs/migrate.md explains them.\n\n\
Exit status: 0 migrated, and the check has found nothing or warnings only; 1 migrated, and the check has found errors; 2 wrong \
usage, or nothing was migrated, which is one line that says why.\n\n\
Example: camelpost migrate --from /etc/qpsmtpd --to /etc/camelpost")]
pub(super) struct MigrateArgs {
    /// The config directory of qpsmtpd: the one that has the file plugins.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,

    /// The config directory to make.
    #[arg(long, value_name = "DIR", default_value = "/etc/camelpost")]
    to: PathBuf,

    /// Another machine's files: DIR is its /, and all paths are meant from there, those of --from, --to and --init, too. The copy
    /// is not checked then.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,

    /// The init script, run script or systemd unit that starts the old server. Default: the one that is found in /etc/init.d,
    /// /service, /etc/service, /var/service, /etc/sv, beside the config directory, or among systemd's units.
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,

    /// The version of qpsmtpd: 0.94, one of Debian's package such as 0.94-8, or 1.00. Default: that of Qpsmtpd.pm beside the config
    /// directory, of Debian's package, or of Qpsmtpd.pm among Perl's modules.
    #[arg(long, value_name = "VERSION")]
    compat: Option<String>,

    /// As whom Camelpost is to run. Default: the user of the old server.
    #[arg(short, long, value_name = "NAME")]
    user: Option<String>,

    /// The spool directory of the copy. Default: that of the old server with -camelpost behind it.
    #[arg(long, value_name = "DIR")]
    spool_dir: Option<PathBuf>,

    /// Make room where --to is not empty: what is there is kept as DIR.orig.
    #[arg(long)]
    force: bool,

    /// Say what would be done, and write nothing.
    #[arg(long)]
    dry_run: bool,

    /// One JSON object a line, with what it is in `event`; the findings of the check have `severity` in its place.
    #[arg(long)]
    json: bool,
}

pub(super) fn migrate(args: &MigrateArgs) -> ExitCode {
    match make(args) {
        Ok(made) => {
            show(args.json, &made.report);
            match made.checked {
                Some(who) => {
                    if !args.json {
                        print("\nCheck of the copy\n");
                    }
                    // Relative paths are meant from there; where it is not, they are not found.
                    let _ = std::env::set_current_dir(&made.working);
                    check::check_made(&who, args.json)
                }
                None => ExitCode::SUCCESS,
            }
        }
        Err(problem) => {
            eprintln!("camelpost: {problem}");
            ExitCode::from(2)
        }
    }
}

/// What was made, and what is to be checked of it.
struct Made {
    report: Report,
    checked: Option<Who>,
    /// The working directory of the service.
    working: PathBuf,
}

fn show(json: bool, report: &Report) {
    print(&match json {
        true => report.json(),
        false => report.text(),
    });
}

fn print(text: &str) {
    // A reader that has gone wants no more.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// A path that the printed commands have in them, and README: none of it may begin a line.
fn plain_paths(args: &MigrateArgs) -> Result<(), String> {
    let paths = [
        ("--from", Some(&args.from)),
        ("--to", Some(&args.to)),
        ("--root", args.root.as_ref()),
        ("--init", args.init.as_ref()),
        ("--spool-dir", args.spool_dir.as_ref()),
    ];
    for (option, path) in paths {
        let text = path.map(|path| path.display().to_string());
        if let Some(text) = text.filter(|text| text.contains(char::is_control)) {
            return Err(format!(
                "{option} {}: it has a control character (? here), which no command could be printed with; name it by a link \
                 without one, or rename it",
                comment(&text)
            ));
        }
    }
    Ok(())
}

fn make(args: &MigrateArgs) -> Result<Made, String> {
    plain_paths(args)?;
    let root = Root::new(args.root.as_deref())?;
    let source = Source::open(root.clone(), &args.from)?;
    let target = match root.is_this() {
        true => std::path::absolute(&args.to).map_err(|error| format!("--to: {}", why(&error)))?,
        false => Path::new("/").join(&args.to),
    };
    let target: PathBuf = root::plain(&target);
    let place = Place::find(&root.real(&target), &source.real, args.force)?;
    let entries: Vec<Entry> = source.entries()?;
    let entries: Vec<Entry> = entries
        .into_iter()
        // What an earlier migration has left there is none of the configuration.
        .filter(|entry| !entry.path.starts_with(OWN))
        .collect();
    let found = start::find(&root, &source.given, args.init.as_deref())?;
    let start = found.start.as_ref();
    let program = start.map(|start| start.program.as_path());
    let version = version::find(&source, args.compat.as_deref(), program)?;
    let mut serve = Serve::new(&root, &target, start, args.user.as_deref());

    let mut edits = Edits::new(&source, &target);
    edits.lead_into_the_copy(&entries);
    let home = root.entry("/etc/passwd", &serve.user, 5).map(PathBuf::from);
    // Nobody's spool is in the root directory.
    let home = home.filter(|home| home.parent().is_some());
    let spool = args.spool_dir.as_ref().map(|dir| match root.is_this() {
        true => std::path::absolute(dir).unwrap_or_else(|_| dir.clone()),
        false => Path::new("/").join(dir),
    });
    let spool = edits.spool(spool.as_deref(), home.as_deref());
    edits.beside(program);
    if source.read(Path::new("compat")).trim_ascii() != version.text.as_bytes() {
        edits.add("compat", &format!("{}\n", version.text));
    }

    let mut report = Report::default();
    report.add(Item::Migrated {
        from: source.given.clone(),
        to: target.clone(),
        compat: version.text.clone(),
        compat_from: version.told_by.clone(),
        files: entries
            .iter()
            .filter(|entry| matches!(entry.kind, Kind::File | Kind::Link(_)))
            .count(),
        dry_run: args.dry_run,
    });
    if let Some(kept) = place.kept() {
        report.add(Item::Kept {
            differ: differing(&source, &edits, &root.real(&target)),
            directory: root.shown(&kept),
        });
    }
    // A link whose file is another one in the copy is none there.
    let kept = entries
        .iter()
        .filter(|entry| !edits.files.contains_key(&entry.path));
    report.extend(kept.filter_map(|entry| copy::look(&source, &target, entry).1));
    report.extend(std::mem::take(&mut edits.told));

    let spool = spool::Spool::find(&root, &spool, &serve, &source);
    let spool_item = spool.item();
    report.extend(spool_item);
    let mut shared = shared::look(&source, &target, &entries);
    report.extend(std::mem::take(&mut shared.items));
    report.extend(plugins_of(&source, &target));
    report.add(Item::Start {
        file: start.map(|start| start.file.clone()),
        line: start.map(|start| start.line).filter(|line| *line > 0),
        before: start.map_or_else(Vec::new, |start| start.words.clone()),
        after: serve.words(),
    });
    report.extend(std::mem::take(&mut serve.remarks));
    report.extend(spool.remark());
    let machine = Machine {
        root: &root,
        target: &target,
    };
    let is_unit = machine.has_systemd() && start.is_none_or(|start| start.kind != start::Kind::Run);
    if is_unit {
        let (reach, remarks) = reach(&source, &serve, program, &shared, &spool);
        let unit = packaged::program(&root);
        let text = serve.drop_in(start, &unit, &reach, &shared.plugins);
        edits
            .files
            .insert(format!("{OWN}/{DROP_IN}").into(), text.into_bytes());
        report.extend(packaged::remarks(&root, &serve.program));
        report.extend(remarks);
    }
    for other in &found.others {
        report.add(Item::Remark {
            text: format!(
                "{} starts a server with this directory, too: --init names it",
                other.display()
            ),
        });
    }
    for (file, config) in found.elsewhere.iter().filter(|_| start.is_none()) {
        report.add(Item::Remark {
            text: format!(
                "{} starts one with the directory {}",
                file.display(),
                config.display()
            ),
        });
    }
    report.extend(std::mem::take(&mut serve.limits));
    let config = ConfigDir::new(vec![source.real.clone()]);
    report.extend(own_limits(&config, false).map(|text| Item::Limit { text }));

    report.add(Item::Try {
        command: "# where something is shared (above), name another path in the copy before"
            .to_owned(),
    });
    if machine.has_systemd() && machine.has_unit() {
        report.add(Item::Try {
            command:
                "# the service that is installed has port 2525 until `systemctl stop camelpost`"
                    .to_owned(),
        });
    }
    report.add(Item::Try {
        command: quoted(&serve.trial()),
    });
    let instances = place.instances(&source.real);
    let instances = instances.map(|instances| Instances {
        kept: root.shown(&instances.kept),
        ..instances
    });
    let ways = machine.ways(start, &serve, instances.as_ref());
    report.extend(ways.items);
    for (name, text) in ways.files {
        edits.files.insert(name.into(), text.into_bytes());
    }
    if !root.is_this() {
        report.add(Item::NotChecked {
            text: format!(
                "the copy is another machine's, and not checked: `camelpost check --config {}` does it there",
                quoted(&[target.display().to_string()])
            ),
        });
    }
    if args.dry_run {
        return Ok(Made {
            report,
            checked: None,
            working: serve.working,
        });
    }
    write(place, &source, &entries, &edits, &report, spool)?;
    let user = rustix::process::geteuid()
        .is_root()
        .then(|| serve.user.clone());
    Ok(Made {
        report,
        checked: root.is_this().then(|| Who::new(target, user)),
        working: serve.working,
    })
}

/// Makes the copy, and puts it into its place.
fn write(
    place: Place,
    source: &Source,
    entries: &[Entry],
    edits: &Edits<'_>,
    report: &Report,
    spool: spool::Spool,
) -> Result<(), String> {
    let target = edits.target();
    let stage = place.stage()?;
    let copy = copy::Copy {
        source,
        entries,
        files: &edits.files,
        target,
    };
    copy.fill(&stage.path)?;
    let cannot =
        |error: std::io::Error| format!("cannot write {}: {}", target.display(), why(&error));
    let readme = stage.path.join(OWN).join("README");
    let text = format!(
        "What `camelpost migrate` has done, and what is to be done.\n\n{}",
        report.text()
    );
    fs::create_dir_all(stage.path.join(OWN))
        .and_then(|()| fs::write(&readme, text))
        .and_then(|()| fs::set_permissions(&readme, fs::Permissions::from_mode(0o644)))
        .map_err(cannot)?;
    copy::directory(&source.real, &stage.path).map_err(cannot)?;
    let made = spool.make()?;
    stage.finish().map(|_| ()).inspect_err(|_| made.undo())
}

/// Files that are there already, and not the same as the new ones.
fn differing(source: &Source, edits: &Edits<'_>, old: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![PathBuf::new()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(old.join(&dir)).into_iter().flatten().flatten() {
            let path = dir.join(entry.file_name());
            let kind = entry.file_type();
            if path.starts_with(OWN) {
                continue;
            }
            if kind.as_ref().is_ok_and(|kind| kind.is_dir()) {
                dirs.push(path);
                continue;
            }
            let is_file = kind.is_ok_and(|kind| kind.is_file());
            if is_file && fs::read(old.join(&path)).ok() != edits.will_have(source, &path) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Whose plugins are read: what has them is to stay.
fn plugins_of(source: &Source, target: &Path) -> Vec<Item> {
    let text = source.read(Path::new("plugin_dirs"));
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines = text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()));
    let lines = lines.filter(|(_, line)| line.starts_with("/usr/share/qpsmtpd"));
    let items = lines.map(|(line, path)| Item::Shared {
        path: path.into(),
        file: target.join("plugin_dirs"),
        line,
        what: "plugins, which both only read: qpsmtpd's package has to stay installed".to_owned(),
        instead: None,
    });
    items.collect()
}

/// What the unit has to let the service reach, and what is to be done for that.
fn reach(
    source: &Source,
    serve: &Serve,
    program: Option<&Path>,
    shared: &shared::Shared,
    spool: &spool::Spool,
) -> (Reach, Vec<Item>) {
    let mut used = shared.named.clone();
    let own = [
        Some(serve.working.as_path()),
        program,
        Some(serve.config.as_path()),
    ];
    used.extend(own.into_iter().flatten().map(Path::to_path_buf));
    let root = &source.root;
    let reach = Reach::find(root, &serve.user, &shared.written, &used);
    let mut reach = reach.with_directory(root, spool.path());
    let remarks = std::mem::take(&mut reach.remarks);
    (reach, remarks)
}
