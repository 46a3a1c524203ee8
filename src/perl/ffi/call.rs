//! Calls from Rust into Perl: the one place where a Perl error, or an `exit` in a plugin,
//! becomes a Rust value.

use std::ffi::CString;

use super::sys;
use super::value::Sv;
use crate::perl::host::owners::Owner;

/// Why a call into Perl did not return.
#[derive(Debug)]
pub enum Unwind {
    /// It died; the value is `$@`.
    Died(Sv),
    /// `exit` was called. Every Perl frame is gone: this passes to the outermost call, and no
    /// Perl runs between.
    Exited(i32),
}

impl Unwind {
    pub(in crate::perl) fn check_exit(outcome: i32) -> Result<(), Unwind> {
        match outcome as u32 {
            sys::CP_EXITED => Err(Unwind::Exited(0)),
            _ => Ok(()),
        }
    }

    /// The message of an error. An `exit` on the way to it is not lost where Perl frames are
    /// below, as the glue takes care of that.
    pub fn message(&self) -> Vec<u8> {
        match self {
            Unwind::Died(error) => stringify(error).unwrap_or_default(),
            Unwind::Exited(status) => format!("exit({status})").into_bytes(),
        }
    }
}

/// What a call should return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    Void,
    Scalar,
    List,
}

impl Want {
    fn raw(self) -> i32 {
        (match self {
            Want::Void => sys::CP_VOID,
            Want::Scalar => sys::CP_SCALAR,
            Want::List => sys::CP_LIST,
        }) as i32
    }
}

fn finish(outcome: i32, result: &mut sys::cp_result) -> Result<Vec<Sv>, Unwind> {
    match outcome as u32 {
        sys::CP_OK => {
            // SAFETY: the glue filled `count` owned references, which pass to the vector.
            let values = unsafe {
                let all = std::slice::from_raw_parts(result.values, result.count);
                all.iter().filter_map(|raw| Sv::own(*raw)).collect()
            };
            // SAFETY: frees the array only.
            unsafe { sys::cp_free_result(result) };
            Ok(values)
        }
        sys::CP_DIED => Err(Unwind::Died(
            Sv::own(result.error).unwrap_or_else(Sv::undef),
        )),
        _ => Err(Unwind::Exited(result.exit_status)),
    }
}

fn empty_result() -> sys::cp_result {
    sys::cp_result {
        error: std::ptr::null_mut(),
        few: [std::ptr::null_mut(); sys::CP_INLINE as usize],
        values: std::ptr::null_mut(),
        count: 0,
        exit_status: 0,
    }
}

/// Calls a code reference.
pub fn call(code: &Sv, args: &[Sv], want: Want) -> Result<Vec<Sv>, Unwind> {
    call_by(sys::cp_call, code, args, want)
}

type Call = unsafe extern "C" fn(
    *mut sys::cp_sv,
    *mut *mut sys::cp_sv,
    usize,
    i32,
    *mut sys::cp_result,
) -> i32;

fn call_by(by: Call, code: &Sv, args: &[Sv], want: Want) -> Result<Vec<Sv>, Unwind> {
    let mut raw = raw_args(args);
    let mut result = empty_result();
    let (pointer, count) = (raw.as_mut_ptr(), raw.len());
    // SAFETY: live values; dying and exiting end in the outcome.
    let outcome = unsafe { by(code.raw(), pointer, count, want.raw(), &mut result) };
    finish(outcome, &mut result)
}

/// Calls a hook: its plugin's method where that is known, else the code. The first argument is
/// the qp object; the arguments are borrowed.
pub(in crate::perl) fn call_hook(
    code: &Sv,
    owner: Option<&Owner>,
    args: &mut [*mut sys::cp_sv],
) -> Result<Vec<Sv>, Unwind> {
    call_hook_raw(code, owner, args, None)
}

/// The same where only the code counts; `None` where the hook returned nothing or undef.
pub(in crate::perl) fn call_hook_for_code(
    code: &Sv,
    owner: Option<&Owner>,
    args: &mut [*mut sys::cp_sv],
) -> Result<Option<i64>, Unwind> {
    let mut number = -1;
    call_hook_raw(code, owner, args, Some(&mut number))?;
    Ok((number >= 0).then_some(number))
}

fn call_hook_raw(
    code: &Sv,
    owner: Option<&Owner>,
    args: &mut [*mut sys::cp_sv],
    number: Option<&mut i64>,
) -> Result<Vec<Sv>, Unwind> {
    let mut result = empty_result();
    let (pointer, count) = (args.as_mut_ptr(), args.len());
    // SAFETY: the caller owns the arguments for the time of the call, `number` outlives it; dying
    // and exiting end in the outcome.
    let outcome = unsafe {
        match (owner, number) {
            (
                Some(Owner {
                    plugin,
                    method,
                    hook,
                    ..
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

/// Calls a method on the first argument.
pub fn call_method(name: &str, args: &[Sv], want: Want) -> Result<Vec<Sv>, Unwind> {
    let name = CString::new(name).unwrap_or_default();
    let mut raw = raw_args(args);
    let mut result = empty_result();
    // SAFETY: as in `call`; the name ends in NUL.
    let outcome = unsafe {
        sys::cp_call_method(
            name.as_ptr(),
            raw.as_mut_ptr(),
            raw.len(),
            want.raw(),
            &mut result,
        )
    };
    finish(outcome, &mut result)
}

/// Calls a function of the host's own by its full name. $@ is as it was afterwards.
pub fn call_function(name: &str, args: &[Sv], want: Want) -> Result<Vec<Sv>, Unwind> {
    let c_name = CString::new(name).unwrap_or_default();
    // SAFETY: looks the name up without making it.
    let code = unsafe { sys::cp_code(c_name.as_ptr()) };
    if code.is_null() {
        let message = format!("Undefined subroutine &{name} called\n");
        return Err(Unwind::Died(Sv::bytes(message.as_bytes())));
    }
    let code = Sv::share(code).reference();
    call_by(sys::cp_call_aside, &code, args, want)
}

/// Whether a function is defined, by its name with its package's.
pub fn has_function(name: &std::ffi::CStr) -> bool {
    // SAFETY: looks the name up without making it.
    unsafe { !sys::cp_code(name.as_ptr()).is_null() }
}

/// Evaluates a text.
pub fn eval(text: &str, want: Want) -> Result<Vec<Sv>, Unwind> {
    let mut result = empty_result();
    // SAFETY: as in `call`; perl copies the text.
    let outcome =
        unsafe { sys::cp_eval(text.as_ptr().cast(), text.len(), want.raw(), &mut result) };
    finish(outcome, &mut result)
}

fn raw_args(args: &[Sv]) -> Vec<*mut sys::cp_sv> {
    args.iter().map(Sv::raw).collect()
}

/// warn, with the file and line of the Perl code that called here.
pub fn warn(text: &str) -> Result<(), Unwind> {
    let text = Sv::bytes(text.as_bytes());
    call_function("Camelpost::warn_of_caller", &[text], Want::Void)?;
    Ok(())
}

/// The bytes of any value; an object that overloads `""` is asked, which runs Perl code.
pub fn stringify(value: &Sv) -> Result<Vec<u8>, Unwind> {
    if !value.is_ref() {
        return Ok(value.to_bytes());
    }
    let texts = call_function(
        "Camelpost::stringify",
        std::slice::from_ref(value),
        Want::Scalar,
    )?;
    Ok(texts.first().map(Sv::to_bytes).unwrap_or_default())
}
