//! A hook's plugin is called by its method, with `{_qp}` and `{_hook}` assigned instead of localised
//! (`c/glue.c: call_hook`, `c/glue_local.c`). The plain way is the closure in the table of hooks, which
//! Qpsmtpd::Plugin has made; it is also what is called where the plugin of a code is not known.

use crate::perl::ffi::call::{Unwind, Want, empty_result, finish};
use crate::perl::ffi::sys;
use crate::perl::ffi::value::Sv;

/// The method behind a code in the table of hooks.
#[derive(Clone, Copy)]
pub(in crate::perl) struct Known<'a> {
    /// The plugin's object.
    pub plugin: &'a Sv,
    /// The method's name, or a code reference.
    pub method: &'a Sv,
    /// The hook's name.
    pub hook: &'a Sv,
}

/// Calls a hook: its plugin's method where that is known, else the code. The first argument is
/// the qp object; the arguments are borrowed.
pub(in crate::perl) fn call_hook(
    code: &Sv,
    known: Option<Known<'_>>,
    args: &mut [*mut sys::cp_sv],
) -> Result<Vec<Sv>, Unwind> {
    call_hook_raw(code, known, args, None)
}

/// The same where only the code counts; `None` where the hook returned nothing or undef.
pub(in crate::perl) fn call_hook_for_code(
    code: &Sv,
    known: Option<Known<'_>>,
    args: &mut [*mut sys::cp_sv],
) -> Result<Option<i64>, Unwind> {
    let mut number = -1;
    call_hook_raw(code, known, args, Some(&mut number))?;
    Ok((number >= 0).then_some(number))
}

fn call_hook_raw(
    code: &Sv,
    known: Option<Known<'_>>,
    args: &mut [*mut sys::cp_sv],
    number: Option<&mut i64>,
) -> Result<Vec<Sv>, Unwind> {
    let known = known.filter(|_| super::are_on());
    let mut result = empty_result();
    let (pointer, count) = (args.as_mut_ptr(), args.len());
    // SAFETY: the caller owns the arguments for the time of the call, `number` outlives it; dying
    // and exiting end in the outcome.
    let outcome = unsafe {
        match (known, number) {
            (
                Some(Known {
                    plugin,
                    method,
                    hook,
                }),
                number,
            ) => sys::cp_call_hook(
                plugin.raw(),
                method.raw(),
                hook.raw(),
                pointer,
                count,
                number.map_or(std::ptr::null_mut(), |number| number),
                &mut result,
            ),
            (None, Some(number)) => {
                sys::cp_call_for_code(code.raw(), pointer, count, number, &mut result)
            }
            (None, None) => sys::cp_call(code.raw(), pointer, count, Want::List.raw(), &mut result),
        }
    };
    finish(outcome, &mut result)
}
