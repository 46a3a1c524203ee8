//! What the original gave for these inputs when it was run.

use super::Address;

/// Input, user, host, format; `None` for user and host where they were undefined.
type Row = (
    &'static [u8],
    Option<&'static [u8]>,
    Option<&'static [u8]>,
    &'static [u8],
);

#[test]
fn addresses_are_read_as_by_the_original() {
    let rows: &[Row] = &[
        (b"<>", Some(b""), None, b"<>"),
        (b"", None, None, b"<>"),
        (b"postmaster", None, None, b"<>"),
        (b"[undefined]", None, None, b"<>"),
        (b"<a@b>", Some(b"a"), Some(b"b"), b"<a@b>"),
        (b"<A@B.C>", Some(b"A"), Some(b"B.C"), b"<A@B.C>"),
        (b"a@b", Some(b"a"), Some(b"b"), b"<a@b>"),
        (b"a@", Some(b"a"), Some(b""), b"<a@>"),
        (b"@b", Some(b""), Some(b"b"), b"<@b>"),
        (b"a@b@c", Some(b"a@b"), Some(b"c"), b"<\"a\\@b\"@c>"),
        (b"a\nb@c\nd@e", Some(b"b"), Some(b"c"), b"<b@c>"),
        (b"<a@b", Some(b"<a"), Some(b"b"), b"<\"\\<a\"@b>"),
        (b"<a@b>\n", Some(b"a"), Some(b"b"), b"<a@b>"),
        (b"<Postmaster>", Some(b"postmaster"), None, b"<postmaster>"),
        (
            b"<PostMaster@B>",
            Some(b"PostMaster"),
            Some(b"B"),
            b"<PostMaster@B>",
        ),
        (b"<\"a\"@b>", Some(b"a"), Some(b"b"), b"<a@b>"),
        (b"<\"\"@b>", Some(b""), Some(b"b"), b"<@b>"),
        (b"<\"a@b\"@c>", Some(b"a@b"), Some(b"c"), b"<\"a\\@b\"@c>"),
        (
            b"<\"a\\\"b\"@c>",
            Some(b"a\"b"),
            Some(b"c"),
            b"<\"a\\\"b\"@c>",
        ),
        (b"<\"a\\qb\"@c>", Some(b"aqb"), Some(b"c"), b"<aqb@c>"),
        (
            b"<a.\"b\"@c>",
            Some(b"a.\"b\""),
            Some(b"c"),
            b"<\"a.\\\"b\\\"\"@c>",
        ),
        (b"<a b@c>", Some(b"a b"), Some(b"c"), b"<\"a\\ b\"@c>"),
        (b"<a..b.@c>", Some(b"a..b."), Some(b"c"), b"<a..b.@c>"),
        (
            b"<a\xe9\0@c>",
            Some(b"a\xe9\0"),
            Some(b"c"),
            b"<\"a\\\xe9\\\0\"@c>",
        ),
        (b"<a@b_c d,e>", Some(b"a"), Some(b"b_c d,e"), b"<a@b_c d,e>"),
        (
            b"<a@[1.2.3.4]>",
            Some(b"a"),
            Some(b"[1.2.3.4]"),
            b"<a@[1.2.3.4]>",
        ),
        (
            b"<a@[IPv6:::1]>",
            Some(b"a"),
            Some(b"[IPv6:::1]"),
            b"<a@[IPv6:::1]>",
        ),
        (
            b"<a@b>c@d>",
            Some(b"a@b>c"),
            Some(b"d"),
            b"<\"a\\@b\\>c\"@d>",
        ),
        (b"#@[]", Some(b"#"), Some(b"[]"), b"<#@[]>"),
    ];
    for (text, user, host, format) in rows {
        let found = Address::parse(text).unwrap_or_else(|| panic!("{} is read", shown(text)));
        assert_eq!(found.user(), *user, "user of {}", shown(text));
        assert_eq!(found.host(), *host, "host of {}", shown(text));
        assert_eq!(
            shown(&found.format()),
            shown(format),
            "format of {}",
            shown(text)
        );
    }
}

#[test]
fn what_the_original_refuses_is_refused() {
    let refused: &[&[u8]] = &[
        b"<user>",
        b"<abuse>",
        b"<\"postmaster\">",
        b"<@>",
        b"<@b>",
        b"<a@>",
        b"< a@b >",
        b"<.a@b>",
        b"<(a@b>",
        b"<\xe9a@b>",
        b"<\"a b\"@c>",
        b"<\"a\xe9\"@c>",
        b"<\"a\"b\"@c>",
        b"<\"a\".b@c>",
        b"<\"a\\\"@c>",
        b"<\"a\"@b@c>",
        b"<a@b.>",
        b"<a@.b>",
        b"<a@b..c>",
        b"<a@-b>",
        b"<a@b->",
        b"<a@b->",
        b"<a@[1.2.3]>",
        b"<a@[1.2.3.4567]>",
        b"<a@[ipv6:::1]>",
        b"<a@[IPv6:]>",
        b"<a@[1.2.3.4].b>",
        b"<#@[]>",
        b"<<a@b>>",
    ];
    for text in refused {
        assert_eq!(Address::parse(text), None, "{}", shown(text));
    }
}

#[test]
fn a_source_route_is_taken_off() {
    let user_of = |text: &str| {
        let read = Address::parse(text.as_bytes());
        read.and_then(|read| {
            read.user()
                .map(|user| String::from_utf8_lossy(user).into_owned())
        })
    };
    let some = |text: &str| Some(text.to_string());
    assert_eq!(user_of("<@x:a@b>"), some("a"));
    assert_eq!(user_of("<@x.y,@z.w:a@b>"), some("a"));
    assert_eq!(user_of("<@[1.2.3.4],@a:b@c>"), some("b"));
    assert_eq!(user_of("<@a:b:c@d>"), some("c"));
    assert_eq!(user_of("<@a:b,@c:x@y>"), some("x"));
    assert_eq!(user_of("<@a:b,@-:x@y>"), some("b,@-:x"));
    assert_eq!(user_of("<@a:POSTMASTER>"), some("postmaster"));
    assert_eq!(user_of("<@a:>"), some(""));
    assert_eq!(user_of("<@a::x@y>"), None);
    assert_eq!(user_of("<@a, @b:x@y>"), None);
    assert_eq!(user_of("<@:a@b>"), None);
}

#[test]
fn the_two_arguments_of_new_are_not_checked() {
    let new = |user, host| Address::from_arguments(user, host);
    let read = new(Some(b"a b"), Some(b"c d")).unwrap();
    assert_eq!(read.format(), b"<\"a\\ b\"@c d>");
    assert_eq!(new(None, Some(b"b")).unwrap().format(), b"<>");
    assert_eq!(new(None, Some(b"b")).unwrap().address(), b"@b");
    assert_eq!(new(Some(b"a@b"), None).unwrap().host(), Some(&b"b"[..]));
    assert_eq!(new(Some(b"a"), None), Some(Address::null()));
    assert_eq!(new(Some(b"<a@b>"), Some(b"c")).unwrap().format(), b"<a@b>");
    assert_eq!(new(Some(b"<a>"), Some(b"c")), None);
}

#[test]
fn address_has_no_quotes_and_format_has_them() {
    let read = Address::parse(b"<\"a b\\@\"@c>");
    assert_eq!(read, None);
    let read = Address::parse(b"<\"a,b\\@\"@c>").unwrap();
    assert_eq!(read.address(), b"a,b@@c");
    assert_eq!(read.format(), b"<\"a\\,b\\@\"@c>");
}

#[test]
fn user_and_host_can_be_changed_each_on_its_own() {
    let mut read = Address::parse(b"<a@b>").unwrap();
    read.set_user(b"x y".to_vec());
    read.set_host(b"z".to_vec());
    assert_eq!(read.format(), b"<\"x\\ y\"@z>");
    read.set_address(b"q@r");
    assert_eq!(read.format(), b"<q@r>");
    read.set_address(b"junk");
    assert!(read.is_null() && read.user().is_none());
}

#[test]
fn a_null_address_is_written_as_angle_brackets() {
    for read in [Address::null(), Address::parse(b"<>").unwrap()] {
        assert!(read.is_null());
        assert_eq!(read.format(), b"<>");
        assert_eq!(read.address(), b"");
    }
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
