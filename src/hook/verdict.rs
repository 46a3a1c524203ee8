//! What a plugin answers: qpsmtpd's return codes with their numbers, and the values after them.

use super::arg::Arg;
use crate::mail::Foreign;

/// A return code of `Qpsmtpd::Constants`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// The plugin has done it, or allows it.
    Ok,
    /// Refused for good: a 5xx reply.
    Deny,
    /// Refused for now: a 4xx reply.
    DenySoft,
    /// Refused for good, and the client is sent away. Also `DENYHARD`.
    DenyDisconnect,
    /// Refused for now, and the client is sent away.
    DenySoftDisconnect,
    /// The plugin has nothing to say: the next one is asked.
    Declined,
    /// The plugin has seen to everything, the reply too.
    Done,
    /// Also `CONTINUATION`; only plugins/async use it.
    Yield,
    /// Anything else that a plugin returned, as text.
    Other(Vec<u8>),
}

impl Code {
    /// The number that plugins see (`OK` is 900).
    pub fn number(&self) -> Option<u16> {
        Some(match self {
            Code::Ok => 900,
            Code::Deny => 901,
            Code::DenySoft => 902,
            Code::DenyDisconnect => 903,
            Code::DenySoftDisconnect => 904,
            Code::Declined => 909,
            Code::Done => 910,
            Code::Yield => 911,
            Code::Other(_) => return None,
        })
    }

    /// The code with this number.
    pub fn from_number(number: i64) -> Code {
        match number {
            900 => Code::Ok,
            901 => Code::Deny,
            902 => Code::DenySoft,
            903 => Code::DenyDisconnect,
            904 => Code::DenySoftDisconnect,
            909 => Code::Declined,
            910 => Code::Done,
            911 => Code::Yield,
            other => Code::Other(other.to_string().into_bytes()),
        }
    }

    /// The constant's name, as `return_code(NUMBER)` gives it and as log lines show it.
    pub fn name(&self) -> Option<&'static str> {
        Some(match self {
            Code::Ok => "OK",
            Code::Deny => "DENY",
            Code::DenySoft => "DENYSOFT",
            Code::DenyDisconnect => "DENY_DISCONNECT",
            Code::DenySoftDisconnect => "DENYSOFT_DISCONNECT",
            Code::Declined => "DECLINED",
            Code::Done => "DONE",
            Code::Yield => "YIELD",
            Code::Other(_) => return None,
        })
    }

    /// Whether 1.00 takes it for a verdict, so that the chain ends with it. So it does with a code's
    /// name and with digits that stand in a code, though neither is the code.
    pub fn is_of_1_00(&self) -> bool {
        const CODES: [&str; 7] = ["900", "901", "902", "903", "904", "909", "910"];
        match self {
            Code::Other(text) if text.iter().all(u8::is_ascii_digit) => {
                let text = std::str::from_utf8(text).unwrap_or_default();
                CODES.iter().any(|code| code.contains(text))
            }
            Code::Other(text) => Code::number_of_name(text).is_some(),
            _ => true,
        }
    }

    fn number_of_name(name: &[u8]) -> Option<u16> {
        if name == b"DENYHARD" {
            return Code::DenyDisconnect.number();
        }
        let codes = (900..=910).map(Code::from_number);
        let found = codes.filter(|code| code.name().map(str::as_bytes) == Some(name));
        found.filter_map(|code| code.number()).next()
    }

    /// What log lines call it.
    pub fn shown(&self) -> String {
        match self {
            Code::Other(text) => Code::number_of_name(text).map(|number| number.to_string()),
            known => known.name().map(str::to_owned),
        }
        .unwrap_or_default()
    }

    /// DENY, DENYSOFT and their disconnecting twins.
    pub fn is_denial(&self) -> bool {
        matches!(
            self,
            Code::Deny | Code::DenySoft | Code::DenyDisconnect | Code::DenySoftDisconnect
        )
    }

    /// DENYSOFT and DENYSOFT_DISCONNECT.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Code::DenySoft | Code::DenySoftDisconnect)
    }

    /// DENY_DISCONNECT and DENYSOFT_DISCONNECT.
    pub fn disconnects(&self) -> bool {
        matches!(self, Code::DenyDisconnect | Code::DenySoftDisconnect)
    }
}

/// What a chain of plugins decided: the code and the values that came with it.
#[derive(Debug)]
pub struct Verdict {
    /// The code.
    pub code: Code,
    /// The values after the code. Texts hold no line feed: the chain has split them.
    /// An undefined value is `None`.
    pub values: Vec<Option<Vec<u8>>>,
    /// A CODE reference as the second value, which is how a parse hook answers.
    pub parser: Option<Box<dyn Foreign>>,
    /// The same values for who can take them as they were returned, where there is a reference among
    /// them.
    pub returned: Option<Box<dyn Foreign>>,
    /// What has become of the hash of parameters that mail_pre and rcpt_pre get: names and values in
    /// turns, where a plugin had it in its hands.
    pub parameters: Option<Vec<Arg>>,
}

impl Verdict {
    /// A code without texts.
    pub fn new(code: Code) -> Verdict {
        Verdict {
            code,
            values: Vec::new(),
            parser: None,
            returned: None,
            parameters: None,
        }
    }

    /// No plugin decided.
    pub fn declined() -> Verdict {
        Verdict::new(Code::Declined)
    }

    /// A code with one text.
    pub fn with_text(code: Code, text: impl Into<Vec<u8>>) -> Verdict {
        Verdict {
            code,
            values: vec![Some(text.into())],
            parser: None,
            returned: None,
            parameters: None,
        }
    }

    /// The defined values as reply lines.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        self.values.iter().flatten().cloned().collect()
    }

    /// The first value where it is true in Perl's sense: defined, not empty, not "0".
    pub fn text(&self) -> Option<&[u8]> {
        match self.values.first() {
            Some(Some(text)) if !text.is_empty() && text != b"0" => Some(text),
            _ => None,
        }
    }

    /// With its texts split at line feeds as Perl's split does: empty texts at the end vanish.
    pub fn split_lines(mut self) -> Verdict {
        if self.parser.is_some() {
            return self;
        }
        // What is split is text.
        self.returned = None;
        let plain = |value: &Option<Vec<u8>>| {
            value
                .as_ref()
                .is_some_and(|text| !text.is_empty() && !text.contains(&b'\n'))
        };
        if self.values.iter().all(plain) {
            return self;
        }
        let mut lines = Vec::new();
        for text in self.values.into_iter().flatten() {
            let mut parts: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
            while parts.last().is_some_and(|part| part.is_empty()) {
                parts.pop();
            }
            lines.extend(parts.into_iter().map(|part| Some(part.to_vec())));
        }
        self.values = lines;
        self
    }
}
