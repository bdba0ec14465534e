//! Sums of four rows and four channels, in assembly: the compiler splits the instruction that adds pairs of products
//! to sums in two, and moves sums to the stack.
use std::arch::{aarch64::*, asm};

/// What a tile reads.
#[derive(Clone, Copy)]
pub(super) struct Groups {
    /// Of 16 values; not 0.
    pub sixteens: usize,
    /// Eight values more.
    pub has_eight: bool,
    /// Bytes from one group of a vector's weights to the next.
    pub weights_step: usize,
}

/// Products of 16 values of four rows (`v0` to `v3`) with one channel's weights: `$first` and `$second` are the
/// instructions that multiply and that add to the sums.
macro_rules! paired {
    ($add:literal, $weights:literal, $a:literal $b:literal $c:literal $d:literal) => {
        concat!(
            multiplied!("smull v", ".8h, v", ".8b, v", ".8b", $weights),
            multiplied!("smlal2 v", ".8h, v", ".16b, v", ".16b", $weights),
            added!($add, $a $b $c $d),
        )
    };
}

/// As `paired` for weights that may be -128: two products of which do not fit an i16.
macro_rules! single {
    ($add:literal, $weights:literal, $a:literal $b:literal $c:literal $d:literal) => {
        concat!(
            eight!($add, $weights, $a $b $c $d),
            multiplied!("smull2 v", ".8h, v", ".16b, v", ".16b", $weights),
            added!("sadalp", $a $b $c $d),
        )
    };
}

/// As `paired` for eight values.
macro_rules! eight {
    ($add:literal, $weights:literal, $a:literal $b:literal $c:literal $d:literal) => {
        concat!(multiplied!("smull v", ".8h, v", ".8b, v", ".8b", $weights), added!($add, $a $b $c $d))
    };
}

macro_rules! multiplied {
    ($multiply:literal, $products:literal, $values:literal, $end:literal, $weights:literal) => {
        concat!(
            $multiply, "8", $products, "0", $values, $weights, $end, "\n", $multiply, "9", $products, "1", $values,
            $weights, $end, "\n", $multiply, "10", $products, "2", $values, $weights, $end, "\n", $multiply, "11",
            $products, "3", $values, $weights, $end, "\n",
        )
    };
}

macro_rules! added {
    ($add:literal, $a:literal $b:literal $c:literal $d:literal) => {
        concat!(
            $add,
            " v",
            $a,
            ".4s, v8.8h\n",
            $add,
            " v",
            $b,
            ".4s, v9.8h\n",
            $add,
            " v",
            $c,
            ".4s, v10.8h\n",
            $add,
            " v",
            $d,
            ".4s, v11.8h\n",
        )
    };
}

/// `$products` for all four channels; the sums of the first row are in `v16`, `v20`, `v24` and `v28`.
macro_rules! four_channels {
    ($products:ident, $add:literal) => {
        concat!(
            $products!($add, "4", "16" "17" "18" "19"),
            $products!($add, "5", "20" "21" "22" "23"),
            $products!($add, "6", "24" "25" "26" "27"),
            $products!($add, "7", "28" "29" "30" "31"),
        )
    };
}

macro_rules! tile {
    ($name:ident, $products:ident) => {
        /// The sums of four rows, a lane for each channel, and where the next rows' values begin.
        ///
        /// # Safety
        /// `values` must be valid for the groups, each of four rows one after the other; `weights` for as many groups of
        /// four channels of 16 weights, `weights_step` apart.
        #[inline(always)]
        pub(super) unsafe fn $name(
            mut values: *const i8,
            weights: *const i8,
            groups: Groups,
        ) -> ([int32x4_t; 4], *const i8) {
            let [a, b, c, d];
            // SAFETY: reads the groups that the caller vouches for, and writes no memory.
            unsafe {
                asm!(
                    "ld1 {{v0.16b-v3.16b}}, [{values}], #64",
                    "ld1 {{v4.16b-v7.16b}}, [{weights}], {step}",
                    "subs {sixteens}, {sixteens}, #1",
                    four_channels!($products, "saddlp"),
                    "b.eq 3f",
                    "2:",
                    "ld1 {{v0.16b-v3.16b}}, [{values}], #64",
                    "ld1 {{v4.16b-v7.16b}}, [{weights}], {step}",
                    "subs {sixteens}, {sixteens}, #1",
                    four_channels!($products, "sadalp"),
                    "b.ne 2b",
                    "3:",
                    "cbz {has_eight:w}, 4f",
                    "ld1 {{v0.8b-v3.8b}}, [{values}], #32",
                    "ld1 {{v4.16b-v7.16b}}, [{weights}]",
                    four_channels!(eight, "sadalp"),
                    "4:",
                    "addp v16.4s, v16.4s, v20.4s",
                    "addp v17.4s, v17.4s, v21.4s",
                    "addp v18.4s, v18.4s, v22.4s",
                    "addp v19.4s, v19.4s, v23.4s",
                    "addp v24.4s, v24.4s, v28.4s",
                    "addp v25.4s, v25.4s, v29.4s",
                    "addp v26.4s, v26.4s, v30.4s",
                    "addp v27.4s, v27.4s, v31.4s",
                    "addp v16.4s, v16.4s, v24.4s",
                    "addp v17.4s, v17.4s, v25.4s",
                    "addp v18.4s, v18.4s, v26.4s",
                    "addp v19.4s, v19.4s, v27.4s",
                    values = inout(reg) values,
                    weights = inout(reg) weights => _,
                    sixteens = inout(reg) groups.sixteens => _,
                    step = in(reg) groups.weights_step,
                    has_eight = in(reg) u32::from(groups.has_eight),
                    out("v0") _, out("v1") _, out("v2") _, out("v3") _,
                    out("v4") _, out("v5") _, out("v6") _, out("v7") _,
                    out("v8") _, out("v9") _, out("v10") _, out("v11") _,
                    out("v16") a, out("v17") b, out("v18") c, out("v19") d,
                    out("v20") _, out("v21") _, out("v22") _, out("v23") _,
                    out("v24") _, out("v25") _, out("v26") _, out("v27") _,
                    out("v28") _, out("v29") _, out("v30") _, out("v31") _,
                    options(pure, readonly, nostack),
                );
            }
            ([a, b, c, d], values)
        }
    };
}

tile!(paired_sums, paired);
tile!(single_sums, single);
