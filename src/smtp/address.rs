//! An address of the envelope: its grammar, its parts and its written forms, as the original
//! has them (`Qpsmtpd::Address`). That grammar is wider than RFC 5321's: it was found by trying
//! every byte in every place, and tests/address_oracle.rs compares with the original.

/// A reverse-path or forward-path. Undefined parts are `None`, as in Perl: `<>` read from the
/// wire has an empty user and no host.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Address {
    user: Option<Vec<u8>>,
    host: Option<Vec<u8>>,
}

impl Address {
    /// Reads an address. With `<>` around it, it is checked (`None` where it is wrong); without
    /// them it is only cut at its last `@`, and is the null address where there is none.
    pub fn parse(text: &[u8]) -> Option<Address> {
        if in_brackets(text).is_some() {
            let (user, host) = Address::canonify(text)?;
            return Some(Address::from_parts(Some(user), host));
        }
        let line = text
            .split(|byte| *byte == b'\n')
            .find(|line| line.contains(&b'@'));
        Some(match line.and_then(cut_at_last_at) {
            Some((user, host)) => Address::from_parts(Some(user.to_vec()), Some(host.to_vec())),
            None => Address::null(),
        })
    }

    /// The address with these parts, unchecked.
    pub fn from_parts(user: Option<Vec<u8>>, host: Option<Vec<u8>>) -> Address {
        Address { user, host }
    }

    /// What a plugin gets from `Qpsmtpd::Address->new($user, $host)`: without a host, or with
    /// a user in `<>`, the first argument is a whole address.
    pub fn from_arguments(user: Option<&[u8]>, host: Option<&[u8]>) -> Option<Address> {
        let text = user.unwrap_or_default();
        if host.is_none() || in_brackets(text).is_some() {
            return Address::parse(text);
        }
        Some(Address::from_parts(
            user.map(<[u8]>::to_vec),
            host.map(<[u8]>::to_vec),
        ))
    }

    /// The null reverse-path, without user and host.
    pub fn null() -> Address {
        Address::default()
    }

    /// Whether it is written `<>`.
    pub fn is_null(&self) -> bool {
        match (&self.user, &self.host) {
            (None, _) => true,
            (Some(user), None) => user.is_empty(),
            _ => false,
        }
    }

    /// The local part.
    pub fn user(&self) -> Option<&[u8]> {
        self.user.as_deref()
    }

    /// The domain.
    pub fn host(&self) -> Option<&[u8]> {
        self.host.as_deref()
    }

    /// Puts another local part in its place.
    pub fn set_user(&mut self, user: Vec<u8>) {
        self.user = Some(user);
    }

    /// Puts another domain in its place.
    pub fn set_host(&mut self, host: Vec<u8>) {
        self.host = Some(host);
    }

    /// Replaces both parts by those of `text`, with or without `<>`; by none where it is wrong.
    pub fn set_address(&mut self, text: &[u8]) {
        // Nothing between the brackets counts as no brackets, and is wrong within them.
        let path = match in_brackets(text) {
            Some([_, ..]) => Address::canonify(text),
            _ => Address::canonify(&[b"<", text, b">"].concat()),
        };
        *self = match path {
            Some((user, host)) => Address::from_parts(Some(user), host),
            None => Address::null(),
        };
    }

    /// `user@host` without any quoting, or the user alone where there is no host.
    pub fn address(&self) -> Vec<u8> {
        let mut address = self.user.clone().unwrap_or_default();
        if let Some(host) = &self.host {
            address.push(b'@');
            address.extend_from_slice(host);
        }
        address
    }

    /// The address in `<>`, with the user quoted where it has other characters than those of
    /// a dot-string. Each of them gets a backslash.
    pub fn format(&self) -> Vec<u8> {
        let Some(user) = &self.user else {
            return b"<>".to_vec();
        };
        let mut text = vec![b'<'];
        if user.iter().all(|byte| is_dot_string(*byte)) {
            text.extend_from_slice(user);
        } else {
            text.push(b'"');
            for byte in user {
                if !is_dot_string(*byte) {
                    text.push(b'\\');
                }
                text.push(*byte);
            }
            text.push(b'"');
        }
        if let Some(host) = &self.host {
            text.push(b'@');
            text.extend_from_slice(host);
        }
        text.push(b'>');
        text
    }

    /// The checked parts of an address in `<>`: without source route, the local part without
    /// its quotes. `postmaster`, in lower case, is the only user that needs no host.
    pub fn canonify(text: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        let path = in_brackets(text)?;
        let path = &path[source_route(path)..];
        if path.is_empty() {
            return Some((Vec::new(), None));
        }
        if path.eq_ignore_ascii_case(b"postmaster") {
            return Some((b"postmaster".to_vec(), None));
        }
        let (local, domain) = cut_at_last_at(path)?;
        if !is_literal(domain) && !is_domain(domain) {
            return None;
        }
        let user = match local.first()? {
            b'"' => unquoted(local)?,
            // Only the first character is looked at, as in the original.
            first if is_atom(*first) => local.to_vec(),
            _ => return None,
        };
        Some((user, Some(domain.to_vec())))
    }
}

/// What is between `<` and `>`, where these are the first and the last byte (but for one LF)
/// and no other LF is inside.
fn in_brackets(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let inner = text.strip_prefix(b"<")?.strip_suffix(b">")?;
    (!inner.contains(&b'\n')).then_some(inner)
}

fn cut_at_last_at(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memrchr(b'@', text)?;
    Some((&text[..at], &text[at + 1..]))
}

/// atext of RFC 5322.
fn is_atom(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte)
}

fn is_dot_string(byte: u8) -> bool {
    is_atom(byte) || byte == b'.'
}

/// The content of a quoted local part, if it is one as a whole.
fn unquoted(local: &[u8]) -> Option<Vec<u8>> {
    let inner = local.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut user = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        let taken = match byte {
            b'\\' => bytes
                .next()
                .filter(|next| matches!(next, 1..=9 | 11 | 12 | 14..=127))?,
            b'"' => return None,
            1..=8 | 11 | 12 | 14..=31 | 33..=127 => byte,
            _ => return None,
        };
        user.push(taken);
    }
    Some(user)
}

/// `[1.2.3.4]` or `[IPv6:...]`, by its characters only.
fn is_literal(domain: &[u8]) -> bool {
    let inner = domain
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"));
    inner.is_some_and(|inner| match inner.strip_prefix(b"IPv6:") {
        Some(v6) => {
            !v6.is_empty()
                && v6
                    .iter()
                    .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
        }
        None => {
            let mut count = 0;
            inner.split(|byte| *byte == b'.').all(|number| {
                count += 1;
                (1..=3).contains(&number.len()) && number.iter().all(u8::is_ascii_digit)
            }) && count == 4
        }
    })
}

/// Labels with any one byte between them: the original means a dot and takes everything.
fn is_domain(domain: &[u8]) -> bool {
    let is_inside = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    domain.split(|byte| !is_inside(byte)).all(|label| {
        label.first().is_some_and(u8::is_ascii_alphanumeric)
            && label.last().is_some_and(u8::is_ascii_alphanumeric)
    })
}

/// The length of the source route (`@a,@b:`) at the start of a path; 0 where there is none.
///
/// As any byte may stand between labels, a colon may end the route or belong to a domain: the
/// last hop in which one can end it decides, and there the last colon.
fn source_route(path: &[u8]) -> usize {
    let mut end = 0;
    let mut at = 0;
    while path.get(at) == Some(&b'@') {
        let start = at + 1;
        let mut longest = None;
        for stop in domain_ends(path, start) {
            if path.get(stop) == Some(&b':') {
                end = stop + 1;
            }
            longest = Some(stop);
        }
        match longest {
            // A comma before an at sign ends every domain, so no shorter one has a next hop.
            Some(stop) if path.get(stop) == Some(&b',') => at = stop + 1,
            _ => break,
        }
    }
    end
}

/// Where a domain or address literal that starts at `start` can end, in rising order.
fn domain_ends(path: &[u8], start: usize) -> Vec<usize> {
    let rest = &path[start..];
    if rest.first() == Some(&b'[') {
        let close = memchr::memchr(b']', rest).map(|at| at + 1);
        let close = close.filter(|close| is_literal(&rest[..*close]));
        return close.map(|close| start + close).into_iter().collect();
    }
    let mut ends = Vec::new();
    // What the byte before allows: nothing but a letter or digit, these and hyphens, or all.
    let (mut hyphen, mut any) = (false, false);
    for (at, byte) in rest.iter().enumerate() {
        if byte.is_ascii_alphanumeric() {
            ends.push(start + at + 1);
            (hyphen, any) = (true, true);
        } else if *byte == b'-' && hyphen {
            any = false;
        } else if any {
            (hyphen, any) = (false, false);
        } else {
            break;
        }
    }
    ends
}

#[cfg(test)]
mod tests;
