//! Numbers in the other byte order. To compare a swapped number with a constant, the constant can be swapped instead.

/// A constant of so many bits as it is in the other byte order; none if it has more bits than that.
pub(crate) fn swapped(constant: u64, bits: u32) -> Option<i64> {
    let swapped = constant.swap_bytes() >> (64 - bits);
    constant.checked_shr(bits).is_none_or(|rest| rest == 0).then_some(swapped.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_swapped_if_they_are_no_longer_than_that() {
        assert_eq!([swapped(0x1234, 16), swapped(0x1_0000, 16)], [Some(0x3412), None]);
        assert_eq!([swapped(0x1234, 32), swapped(1 << 32, 32)], [Some(0x3412_0000), None]);
        assert_eq!(swapped(u64::MAX - 1, 64), Some(0xfeff_ffff_ffff_ffff_u64.cast_signed()));
    }
}
