//! Version negotiation, section 6.3.1.

use oko_openflow::{Hello, Message, Version};

const V1_4: Version = Version(5);

#[test]
fn the_highest_common_version_is_spoken() {
    let ours = [Version::V1_3];
    let cases: &[(&str, Hello, Option<Version>)] = &[
        ("1.3 alone", Hello::of(&[Version::V1_3]), Some(Version::V1_3)),
        ("1.0 to 1.4", Hello::of(&[Version::V1_0, Version::V1_3, V1_4]), Some(Version::V1_3)),
        ("1.4 without 1.3", Hello::of(&[Version::V1_0, V1_4]), None),
        ("1.3 without bitmap", Hello { version: Version::V1_3, bitmap: None }, Some(Version::V1_3)),
        ("1.4 without bitmap", Hello { version: V1_4, bitmap: None }, Some(Version::V1_3)),
        ("1.0 without bitmap", Hello { version: Version::V1_0, bitmap: None }, None),
        ("nothing", Hello { version: Version::V1_3, bitmap: Some(0) }, None),
    ];
    for (what, hello, version) in cases {
        assert_eq!(hello.negotiate(&ours), *version, "{what}");
    }
    assert_eq!(
        Hello::of(&[Version::V1_0, Version::V1_3]).negotiate(&[Version::V1_0, Version::V1_3]),
        Some(Version::V1_3)
    );
}

#[test]
fn a_hello_is_read_in_any_version_and_with_any_elements() {
    let cases: &[(&[u8], Hello)] = &[
        (&[1, 0, 0, 8, 0, 0, 0, 0], Hello { version: Version(1), bitmap: None }),
        (&[9, 0, 0, 8, 0, 0, 0, 0], Hello { version: Version(9), bitmap: None }),
        // an unknown element of 5 bytes with its padding, then the bitmap
        (
            &[4, 0, 0, 24, 0, 0, 0, 0, 0, 7, 0, 5, 9, 0, 0, 0, 0, 1, 0, 8, 0, 0, 0, 0x10],
            Hello { version: Version(4), bitmap: Some(0x10) },
        ),
        // an element that claims more than there is
        (&[4, 0, 0, 12, 0, 0, 0, 0, 0, 1, 0xff, 0xff], Hello { version: Version(4), bitmap: None }),
        // an element that claims no length
        (&[4, 0, 0, 12, 0, 0, 0, 0, 0, 1, 0, 0], Hello { version: Version(4), bitmap: None }),
    ];
    for (bytes, hello) in cases {
        assert_eq!(Message::decode(bytes), Ok(Message::Hello(*hello)), "{bytes:x?}");
    }
}
