//! A perl program that runs in this process, whose sessions its objects drive (`camelpost perl`).

use std::cell::Cell;
use std::ffi::OsString;
use std::rc::Rc;

use super::port::Port;
use crate::perl::fast;
use crate::perl::ffi::interpreter;
use crate::perl::ffi::object::Owned;

/// Sets up the host for a script.
pub type Prepare = fn() -> Result<(), String>;

thread_local! {
    static PREPARE: Cell<Option<Prepare>> = const { Cell::new(None) };
}

/// Runs a perl program: the words of perl's command line after its name. `prepare` is called once
/// the host's modules are there, before the program's own text is compiled. The result is the
/// exit status, after END blocks.
pub fn run(words: Vec<OsString>, prepare: Prepare) -> i32 {
    PREPARE.set(Some(prepare));
    let mut all = vec![OsString::from("camelpost")];
    all.push("-MCamelpost::Start=script".into());
    all.extend(words);
    fast::look_at_switch();
    interpreter::run(all);
    interpreter::stop()
}

/// Called before a script's own text is compiled.
pub(in crate::perl) fn prepare() -> Result<(), String> {
    PREPARE.get().map_or(Ok(()), |prepare| prepare())
}

/// A session that belongs to an object.
pub(crate) struct OwnSession(pub Rc<dyn Port>);

impl Owned for OwnSession {
    const KIND: u16 = 4;
    const CLASS: &'static str = "Qpsmtpd::SMTP";
}
