//! What is made of the command line for others to read: completions for shells, and the man pages of section 8,
//! one for the program and one for each command. Pages about config files and plugins are made of docs/
//! (packaging/man/make-page), not here.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{control, failed};

const SECTION: &str = "8";
const MANUAL: &str = "Camelpost";
const SOURCE: &str = concat!("camelpost ", env!("CARGO_PKG_VERSION"));

const PLACES: &str = "\
.SH FILES
.TP
/etc/camelpost
The config directory of the package's service, see camelpost\\-config(5).
.TP
/etc/default/camelpost
Its addresses and ports.
.TP
/run/camelpost
Control sockets of the daemons that run.
.TP
/usr/share/doc/camelpost
More to read.
";

const SEE_ALSO: &str = "\
.SH SEE ALSO
.BR camelpost (8),
.BR camelpost\\-config (5),
.BR camelpost\\-plugins (7)
";

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:\n  \
camelpost completions bash > /usr/share/bash-completion/completions/camelpost\n  \
camelpost completions zsh > /usr/share/zsh/vendor-completions/_camelpost\n  \
camelpost completions fish > /usr/share/fish/vendor_completions.d/camelpost.fish")]
pub(super) struct CompletionsArgs {
    shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManPagesArgs {
    /// Where they are written to; it has to be there.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// The command line without what is there for the program's own use.
fn visible(line: &Command) -> Command {
    let commands = line
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let args = line.get_arguments().cloned();
    let version = line.get_version().unwrap_or_default().to_owned();
    Command::new(line.get_name().to_owned())
        .version(version)
        .args(args)
        .subcommands(commands.cloned())
        .subcommand_required(line.is_subcommand_required_set())
}

pub(super) fn completions(args: &CompletionsArgs, line: &Command) -> ExitCode {
    let mut line = visible(line);
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut line, "camelpost", &mut script);
    control::print(&String::from_utf8_lossy(&script))
}

pub(super) fn man_pages(args: &ManPagesArgs, line: Command) -> ExitCode {
    // clap's own `help` has nothing that the pages do not have.
    let mut line = line.disable_help_subcommand(true);
    // Without it no command knows that its name begins with the program's.
    line.build();
    let commands = line
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let mut written = write(&args.dir, &line, PLACES);
    for command in commands {
        written = written.and_then(|()| write(&args.dir, command, ""));
    }
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => failed(&problem),
    }
}

fn write(dir: &Path, command: &Command, more: &str) -> Result<(), String> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = dir.join(format!("{name}.{SECTION}"));
    page(command, more)
        .and_then(|page| fs::write(&path, page))
        .map_err(|error| format!("camelpost: cannot write {}: {error}", path.display()))
}

fn page(command: &Command, more: &str) -> io::Result<Vec<u8>> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let man = Man::new(command.clone())
        .title(name)
        .section(SECTION)
        .source(SOURCE)
        .manual(MANUAL);
    let mut page = Vec::new();
    man.render(&mut page)?;
    page.write_all(more.as_bytes())?;
    page.write_all(SEE_ALSO.as_bytes())?;
    Ok(page)
}
