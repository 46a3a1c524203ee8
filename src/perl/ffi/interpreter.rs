//! Starts the interpreter and gives it the host's own modules, which are compiled into this
//! binary and come first in @INC. The original's modules are never loaded.

use std::ffi::{CStr, CString, OsString, c_char};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::call::{Want, eval};
use super::sys;

/// The variable that turns the fast paths off; it is looked at before perl starts, and not handed on to plugins.
pub const SWITCH: &str = "CAMELPOST_PLAIN";

include!(concat!(env!("OUT_DIR"), "/perl_files.rs"));

/// The text of a compiled-in module.
pub fn embedded_file(name: &[u8]) -> Option<&'static str> {
    FILES
        .iter()
        .find(|(known, _)| known.as_bytes() == name)
        .map(|(_, text)| *text)
}

/// Starts the interpreter of this process. `include` are further directories for @INC, `config` is
/// what plugins and their programs find as QPSMTPD_CONFIG, `taint` is whether it runs in taint mode.
pub fn start(include: &[Vec<u8>], config: Option<&[u8]>, taint: bool) -> Result<(), String> {
    let mut words = vec![OsString::from("camelpost"), OsString::from("-w")];
    if taint {
        words.push("-T".into());
    }
    words.extend(
        include
            .iter()
            .map(|dir| OsString::from_vec([b"-I", &dir[..]].concat())),
    );
    words.extend(["-e".into(), "0".into()]);
    let status = run(words);
    if status != 0 {
        return Err(format!("perl did not start (status {status})"));
    }
    check()?;
    let failed =
        |error: super::call::Unwind| String::from_utf8_lossy(&error.message()).into_owned();
    eval(
        "require Camelpost::Start; require Camelpost::Usual",
        Want::Scalar,
    )
    .map_err(failed)?;
    let config = [super::value::Sv::optional(config)];
    super::call::call_function("Camelpost::Usual::prepare", &config, Want::Void).map_err(failed)?;
    set_program_name();
    Ok(())
}

const HIDDEN: &str = "perl's own functions are hidden in this program, so that no Perl module with a part in C can be \
     loaded. Its package needs the build.rs that `camelpost new-plugin --rust` writes; docs/native.md says why";

/// What the glue takes for granted of perl's insides is tried, as a perl that nobody has tried it with may do
/// otherwise without a word, and one session's values would be another's.
fn check() -> Result<(), String> {
    // SAFETY: the name ends in NUL; the address is only compared.
    if unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"Perl_newXS".as_ptr()) }.is_null() {
        return Err(HIDDEN.to_owned());
    }
    let mut says = [0; 200];
    // SAFETY: the interpreter runs, and no Perl code runs now; the text ends within its room.
    if unsafe { sys::cp_check(says.as_mut_ptr(), says.len()) } != 0 {
        return Ok(());
    }
    // SAFETY: cp_check has written a text that ends in NUL.
    let says = unsafe { CStr::from_ptr(says.as_ptr()) }.to_string_lossy();
    let version = super::call::eval("sprintf '%vd', $^V", Want::Scalar).unwrap_or_default();
    let version = version.first().map(super::value::Sv::to_bytes);
    let version = version.unwrap_or_default();
    Err(format!(
        "perl {} is not as Camelpost takes it to be: {says} (src/perl/c/glue_check.c). Build it with a perl that \
         it was tried with; README.md names them",
        String::from_utf8_lossy(&version)
    ))
}

/// Starts the interpreter of this process and runs its program to the end, without what comes
/// then. The words are those of perl's command line, the program's name first.
pub fn run(words: Vec<OsString>) -> i32 {
    let words = words.into_iter().map(OsString::into_vec);
    let words: Vec<CString> = words.flat_map(CString::new).collect();
    let mut argv: Vec<*mut c_char> = words.iter().map(|word| word.as_ptr().cast_mut()).collect();
    argv.push(std::ptr::null_mut());
    let count = i32::try_from(words.len()).unwrap_or(0);
    // PERL_SIGNALS=unsafe would let a signal handler run inside any function of perl's or ours.
    // The allocator has read its setting, and the switch of the fast paths is looked at: neither is for the
    // programs that plugins run.
    // SAFETY: called once, on the main thread, before any other thread exists; argv is
    // null-terminated and outlives the interpreter, as perl keeps pointers into it.
    let status = unsafe {
        std::env::remove_var("PERL_SIGNALS");
        std::env::remove_var("MIMALLOC_ALLOW_THP");
        std::env::remove_var(SWITCH);
        sys::cp_start(count, argv.as_mut_ptr())
    };
    std::mem::forget((words, argv));
    status
}

/// `$0` has a slash and names an existing file, as plugins derive directories from it.
fn set_program_name() {
    let program = crate::base::program_path();
    let program = super::value::Sv::bytes(program.as_os_str().as_bytes());
    let _ = super::call::call_function("Camelpost::set_program_name", &[program], Want::Void);
}

/// `$0`.
pub fn program_name() -> Vec<u8> {
    // SAFETY: the interpreter runs; the name ends in NUL.
    let name = unsafe { sys::cp_global_scalar(c"0".as_ptr()) };
    super::value::Sv::share(name).to_bytes()
}

/// How many Perl values are alive: what leaks makes it grow.
pub fn count_values() -> usize {
    // SAFETY: reads a number of the running interpreter.
    unsafe { sys::cp_count_values() }
}

/// A forked worker: this process owns its copy of the interpreter.
pub fn adopt(seed: u32) {
    // SAFETY: the interpreter runs in this process's main thread.
    unsafe {
        sys::cp_adopt();
        sys::cp_reseed(seed);
    }
}

/// Camelpost::_warned has what perl warns of, unless a plugin has said who is to.
pub fn take_warnings() {
    // SAFETY: the interpreter runs; a reference is put where perl looks for the handler of warnings.
    unsafe { sys::cp_take_warnings() }
}

/// The status that the last exit of Perl code asked for.
pub fn exit_status() -> i32 {
    // SAFETY: reads a number of the running interpreter.
    unsafe { sys::cp_exit_status() }
}

/// Runs END blocks and destroys the interpreter. The exit status is perl's.
pub fn stop() -> i32 {
    // SAFETY: no Perl code runs, and none is called afterwards: the process ends.
    unsafe { sys::cp_stop() }
}
