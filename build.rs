//! Builds the C side of the Perl bridge and the Rust bindings to it. The flags for libperl are
//! asked of the installed perl; nothing of the interpreter's own headers reaches bindgen.

use std::env;
use std::path::PathBuf;
use std::process::{Command, exit};

const SOURCES: [&str; 26] = [
    "src/perl/c/glue.c",
    "src/perl/c/glue_check.c",
    "src/perl/c/glue_cycles.c",
    "src/perl/c/glue_handles.c",
    "src/perl/c/glue_interrupt.c",
    "src/perl/c/glue_keys.c",
    "src/perl/c/glue_local.c",
    "src/perl/c/glue_ends.c",
    "src/perl/c/glue_exchange.c",
    "src/perl/c/glue_find.c",
    "src/perl/c/glue_names.c",
    "src/perl/c/glue_note.c",
    "src/perl/c/glue_site.c",
    "src/perl/c/glue_stored.c",
    "src/perl/c/glue_turns.c",
    "src/perl/c/glue_watch.c",
    "src/perl/c/glue_watch_ops.c",
    "src/perl/c/glue_number.c",
    "src/perl/c/glue_require.c",
    "src/perl/c/glue_values.c",
    "src/perl/c/glue_objects.c",
    "src/perl/c/glue_plugin.c",
    "src/perl/c/glue_stdio.c",
    "src/perl/c/glue_state.c",
    "src/perl/c/glue_tls.c",
    "src/perl/c/glue_warn.c",
];

fn main() {
    for file in SOURCES.iter().chain(&[
        "src/perl/c/glue.h",
        "src/perl/c/glue_exchange.h",
        "src/perl/c/glue_perl.h",
    ]) {
        println!("cargo::rerun-if-changed={file}");
    }
    println!("cargo::rerun-if-changed=perl");
    println!("cargo::rerun-if-env-changed=PERL");
    println!("cargo::rerun-if-env-changed=CAMELPOST_LIBPERL");
    println!("cargo::rerun-if-env-changed=CAMELPOST_COMMIT");

    check_version();
    tell_commit();

    let mut build = cc::Build::new();
    build
        .files(SOURCES)
        .warnings(true)
        .flag_if_supported("-Wno-unused-parameter");
    for flag in perl("ccopts") {
        // perl asks for its own optimisation and for -g; cargo's profile decides here.
        if !flag.starts_with("-O") && flag != "-g" {
            build.flag(&flag);
        }
    }
    build.compile("camelpost_glue");

    link_perl();
    bindings();
    embed_perl();
}

/// What `--version` says of where the program comes from: CAMELPOST_COMMIT of the environment, else what git says
/// of this directory. An archive has neither. Only a release asks git: it is compiled anew with each commit and
/// each change for that, which nobody who tries a change is to wait for.
fn tell_commit() {
    let given = env::var("CAMELPOST_COMMIT").ok();
    let commit = match given.filter(|commit| !commit.trim().is_empty()) {
        Some(commit) => commit.trim().replace('\n', " "),
        None if env::var("PROFILE").is_ok_and(|profile| profile == "release") => {
            commit_of_git().unwrap_or_else(|| "unknown".to_owned())
        }
        None => "unknown (not a release build)".to_owned(),
    };
    println!("cargo::rustc-env=CAMELPOST_COMMIT={commit}");
}

fn commit_of_git() -> Option<String> {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        let output = command
            .arg("--no-optional-locks")
            .args(words)
            .current_dir(&here)
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    };
    // Not of a repository that this is only a copy in.
    let top = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    if top.canonicalize().ok()? != here.canonicalize().ok()? {
        return None;
    }
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--path-format=absolute", "--git-path", name])?;
        if PathBuf::from(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    for name in ["src", "Cargo.toml", "Cargo.lock", "build.rs"] {
        println!("cargo::rerun-if-changed={name}");
    }
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(match changes.is_empty() {
        true => commit,
        false => format!("{commit}, with changes"),
    })
}

/// The perls that the suite was run with: the oldest, and the newest one's number.
const TRIED: [(u32, u32); 2] = [(5, 36), (5, 40)];

/// Older ones lack what the C side needs. A newer one may have changed what it takes for granted of
/// perl's insides: src/perl/c/glue_check.c tries that at each start.
fn check_version() {
    let text = perl("printf '%vd', $^V").concat();
    let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let [oldest, newest] = TRIED;
    if version < oldest {
        fail(&format!(
            "perl is {text}; Camelpost needs {}.{} or newer",
            oldest.0, oldest.1
        ));
    }
    if version > newest {
        println!(
            "cargo::warning=perl is {text}; the newest one that Camelpost was tried with is {}.{}",
            newest.0, newest.1
        );
    }
}

/// Symbols of the interpreter that XS modules and the program's own C side use.
const PERL_SYMBOLS: &str = "{ Perl*; PL_*; perl_*; boot_DynaLoader; };\n";

/// The interpreter becomes part of the program where its archive is installed, as it is part of
/// the program `perl`: within a shared library each of perl's calls to itself goes through a table,
/// which is a tenth of the time that a message takes.
fn link_perl() {
    let flags = perl("ldopts");
    let archive = if env::var("CAMELPOST_LIBPERL").is_ok_and(|wanted| wanted == "shared") {
        None
    } else {
        perl_archive(&flags)
    };
    for flag in &flags {
        // -Wl,-E would export this program's own symbols to XS modules.
        if let Some(dir) = flag.strip_prefix("-L") {
            println!("cargo::rustc-link-search=native={dir}");
        } else if let Some(library) = flag.strip_prefix("-l")
            && (library != "perl" || archive.is_none())
        {
            println!("cargo::rustc-link-lib=dylib={library}");
        }
    }
    println!(
        "cargo::rustc-env=CAMELPOST_PERL={} ({})",
        perl("printf '%vd', $^V").concat(),
        match archive {
            Some(_) => "static",
            None => "shared",
        }
    );
    let Some(dir) = archive else { return };
    println!("cargo::rustc-link-search=native={}", dir.display());
    // The modules may ask for what nothing here refers to.
    println!("cargo::rustc-link-lib=static:+whole-archive,-bundle=perl");
    let list = out_dir().join("perl_symbols");
    if let Err(error) = std::fs::write(&list, PERL_SYMBOLS) {
        fail(&format!("cannot write {}: {error}", list.display()));
    }
    let visible = format!("-Wl,--dynamic-list={}", list.display());
    println!("cargo::rustc-link-arg={visible}");
    // Another package's programs have to say so themselves: they read DEP_CAMELPOST_PERL_LINK_ARG.
    println!("cargo::metadata=LINK_ARG={visible}");
}

/// The directory of libperl.a. It has to lie beside the library that perl names, so that it is not
/// another perl's.
fn perl_archive(flags: &[String]) -> Option<PathBuf> {
    let library = perl("print $Config::Config{libperl}").pop()?;
    let found = Command::new("cc")
        .arg(format!("-print-file-name={library}"))
        .output()
        .ok()?;
    let found = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim());
    let named = flags
        .iter()
        .filter_map(|flag| Some(PathBuf::from(flag.strip_prefix("-L")?)));
    named
        .chain(found.parent().map(PathBuf::from))
        .find(|dir| dir.join(&library).exists() && dir.join("libperl.a").exists())
}

fn out_dir() -> PathBuf {
    PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default())
}

/// A table of the files under perl/, which are compiled into the binary.
fn embed_perl() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("perl");
    let mut table =
        String::from("/// Name in @INC, text.\npub const FILES: &[(&str, &str)] = &[\n");
    let mut dirs = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "pm") {
                files.push(path);
            }
        }
    }
    files.sort();
    for path in files {
        let name = path
            .strip_prefix(&root)
            .unwrap_or(&path)
            .display()
            .to_string();
        table.push_str(&format!(
            "    ({name:?}, include_str!({:?})),\n",
            path.display().to_string()
        ));
    }
    table.push_str("];\n");
    let out = out_dir().join("perl_files.rs");
    if let Err(error) = std::fs::write(&out, table) {
        fail(&format!("cannot write {}: {error}", out.display()));
    }
}

/// The words that ExtUtils::Embed answers.
fn perl(what: &str) -> Vec<String> {
    let perl = env::var("PERL").unwrap_or_else(|_| "perl".to_owned());
    let output = Command::new(&perl)
        .args(["-MExtUtils::Embed", "-e", what])
        .output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        Ok(output) => fail(&format!(
            "`{perl} -MExtUtils::Embed -e {what}` failed: {}install perl and libperl-dev",
            String::from_utf8_lossy(&output.stderr)
        )),
        Err(error) => fail(&format!(
            "cannot run {perl}: {error}; install perl and libperl-dev"
        )),
    }
}

fn bindings() {
    // libclang has no headers of its own on Debian; the C compiler's serve.
    let include = Command::new("cc").arg("-print-file-name=include").output();
    let include = include.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    let bindings = bindgen::Builder::default()
        .header("src/perl/c/glue.h")
        .clang_args(include.iter().flat_map(|dir| ["-isystem", dir]))
        .allowlist_function("cp_.*")
        .allowlist_type("cp_.*")
        .allowlist_var("CP_.*")
        .blocklist_function("camelpost_.*")
        .prepend_enum_name(false)
        .generate();
    let out = out_dir().join("glue.rs");
    match bindings {
        Ok(bindings) => {
            if let Err(error) = bindings.write_to_file(&out) {
                fail(&format!("cannot write {}: {error}", out.display()));
            }
        }
        Err(error) => fail(&format!("bindgen failed: {error}; install libclang1")),
    }
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    exit(1)
}
