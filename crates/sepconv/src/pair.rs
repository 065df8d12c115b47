//! A number for rows and columns alike, or one for each.

mod sealed {
    pub trait Sealed {}
    impl Sealed for i64 {}
    impl Sealed for [i64; 2] {}
}

/// Rows and columns of a kernel, a stride, a padding or a dilation: `3` stands for 3 rows and 3 columns, `[3, 5]` for
/// 3 rows and 5 columns.
pub trait Pair: sealed::Sealed + Copy {
    /// `number` rows and `number` columns.
    #[must_use]
    fn both(number: i64) -> Self;

    /// `[rows, columns]`.
    #[must_use]
    fn pair(self) -> [i64; 2];
}

impl Pair for i64 {
    fn both(number: i64) -> Self {
        number
    }

    fn pair(self) -> [i64; 2] {
        [self; 2]
    }
}

impl Pair for [i64; 2] {
    fn both(number: i64) -> Self {
        [number; 2]
    }

    fn pair(self) -> [i64; 2] {
        self
    }
}
