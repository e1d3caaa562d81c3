//! From declared accuracy to sizes: sketches, Bloom filters and counters of distinct values.
//!
//! People say how wrong an answer may be; what that takes in memory follows from the literature:
//!
//! - **Count-min** (Cormode, Muthukrishnan: "An improved data stream summary: the count-min sketch and its applications", 2005, theorem 1):
//!   with `width = ceil(e / error)` and `rows = ceil(ln(1 / (1 - confidence)))`, an estimate is never low, and with the given confidence it is
//!   at most `error * total` high.
//! - **Bloom filter** (Bloom, 1970; Broder, Mitzenmacher: "Network applications of Bloom filters", 2004): `-n ln(p) / ln(2)^2` bits and
//!   `-log2(p)` hashes keep the rate of false positives at `p` for `n` keys. With two generations, either of which can
//!   err, each is made for half the rate.
//! - **Distinct values** (HyperLogLog registers, Flajolet and others 2007; read by the historic inverse probability, Cohen 2015, and Ting 2014): the
//!   standard error with `m` registers is `sqrt(ln(2) / m)`.
//!
//! All sizes are those in memory, so rounding goes to the accurate side.

/// Parts in one: declared percentages are counted in these.
pub const MILLION: u64 = 1_000_000;

/// The least and the most registers of a `distinct`.
pub const REGISTERS: (u32, u32) = (16, 4_096);

/// The size of a sketch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SketchGeometry {
    /// How many rows there are, each with a hash of its own.
    pub rows: u32,
    /// How many counters there are in a row.
    pub width: u32,
    /// The length of the window in nanoseconds; `None` if it counts for ever. With a window, there is a second set of
    /// counters for the bucket before.
    pub window: Option<u64>,
    /// The declared error, in millionths of the total.
    pub error: u64,
    /// The declared confidence, in millionths.
    pub confidence: u64,
}

impl SketchGeometry {
    /// The size for an error and a confidence, both in millionths above 0 and below 1.
    pub fn new(error: u64, confidence: u64, window: Option<u64>) -> SketchGeometry {
        // Millionths make it 2,718,282 and 14 at most.
        let width = (std::f64::consts::E * MILLION as f64 / error.max(1) as f64).ceil() as u32;
        let missing = MILLION.saturating_sub(confidence).max(1);
        let rows = (MILLION as f64 / missing as f64).ln().ceil().max(1.0) as u32;
        SketchGeometry { rows, width, window, error, confidence }
    }

    /// How many counters of 64 bits it has.
    pub fn words(&self) -> u32 {
        // At most 76 million, see `new`.
        self.rows * self.width * self.generations()
    }

    /// 2 with a window, else 1.
    pub fn generations(&self) -> u32 {
        if self.window.is_some() { 2 } else { 1 }
    }
}

/// The size of a Bloom filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BloomGeometry {
    /// How many bits a generation has; a multiple of those that a word has for keys.
    pub bits: u64,
    /// How many bits a key sets.
    pub hashes: u32,
    /// How long a generation is, in nanoseconds; `None` if nothing is forgotten. Keys are remembered through the generation in which they
    /// came and the next.
    pub expire: Option<u64>,
    /// How many keys a generation is made for.
    pub capacity: u32,
    /// The declared rate of false positives, in millionths.
    pub error: u64,
}

/// Bits for keys in a word of a Bloom filter that forgets; the others say which generation they are of.
pub const AGEING_BITS: u32 = 48;

impl BloomGeometry {
    /// The size for so many keys at a rate of false positives in millionths; `None` where it is too large.
    pub fn new(capacity: u32, error: u64, expire: Option<u64>) -> Option<BloomGeometry> {
        let generations = if expire.is_some() { 2.0 } else { 1.0 };
        let rate = error as f64 / MILLION as f64 / generations;
        let hashes = (-rate.log2()).ceil().max(1.0);
        // The least number of bits for which so many hashes reach the rate.
        let bits = (-hashes * f64::from(capacity) / (1.0 - rate.powf(1.0 / hashes)).ln()).ceil();
        let word = if expire.is_some() { f64::from(AGEING_BITS) } else { 64.0 };
        let words = (bits / word).ceil().max(1.0);
        // A bit is chosen by 32 bits of a hash.
        if words * word > f64::from(u32::MAX) {
            return None;
        }
        Some(BloomGeometry {
            bits: words as u64 * u64::from(Self::bits_of_word(expire)),
            hashes: hashes as u32,
            expire,
            capacity,
            error,
        })
    }

    fn bits_of_word(expire: Option<u64>) -> u32 {
        if expire.is_some() { AGEING_BITS } else { 64 }
    }

    /// How many bits of a word are for keys.
    pub fn word_bits(&self) -> u32 {
        Self::bits_of_word(self.expire)
    }

    /// How many words a generation has.
    pub fn generation_words(&self) -> u32 {
        // `new` keeps the bits below 2^32.
        (self.bits / u64::from(self.word_bits())) as u32
    }

    /// How many words of 64 bits it has.
    pub fn words(&self) -> u32 {
        self.generation_words() * if self.expire.is_some() { 2 } else { 1 }
    }
}

/// How many registers, a power of two, keep the standard error at `error` millionths; `None` where too many would be needed.
pub fn registers(error: u64) -> Option<u32> {
    let error = error as f64 / MILLION as f64;
    let wanted = std::f64::consts::LN_2 / (error * error);
    let (least, most) = REGISTERS;
    (least.ilog2()..=most.ilog2()).map(|bits| 1 << bits).find(|count| f64::from(*count) >= wanted)
}

/// The least error, in millionths, that a `distinct` can have.
pub fn least_distinct_error() -> u64 {
    ((std::f64::consts::LN_2 / f64::from(REGISTERS.1)).sqrt() * MILLION as f64).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the paper's theorem: 1% at 99%.
    #[test]
    fn a_sketch_is_as_large_as_the_theorem_says() {
        let geometry = SketchGeometry::new(10_000, 990_000, None);
        assert_eq!((geometry.rows, geometry.width, geometry.words()), (5, 272, 1_360));
        let windowed = SketchGeometry::new(100, 999_000, Some(1));
        assert_eq!((windowed.rows, windowed.width, windowed.words()), (7, 27_183, 380_562));
        assert_eq!(SketchGeometry::new(1, 999_999, Some(1)).words(), 76_111_896, "the largest");
    }

    /// Textbook figures: 9.6 bits a key at 1%, and 7 hashes.
    #[test]
    fn a_bloom_filter_is_as_large_as_the_formula_says() {
        let geometry = BloomGeometry::new(1_000_000, 10_000, None).expect("small");
        assert_eq!(geometry.hashes, 7);
        let bits_per_key = geometry.bits as f64 / 1e6;
        assert!((9.5..9.7).contains(&bits_per_key), "{bits_per_key}");
        let ageing = BloomGeometry::new(1_000_000, 10_000, Some(1)).expect("small");
        assert_eq!(ageing.hashes, 8, "each generation errs half as often");
        assert_eq!(ageing.bits % 48, 0);
        assert_eq!(BloomGeometry::new(u32::MAX, 1, None), None);
    }

    #[test]
    fn registers_for_an_error() {
        assert_eq!(registers(100_000), Some(128));
        assert_eq!(registers(20_000), Some(2_048));
        assert_eq!(registers(500_000), Some(16));
        assert_eq!(registers(least_distinct_error()), Some(4_096));
        assert_eq!(registers(least_distinct_error() - 1), None);
    }
}
