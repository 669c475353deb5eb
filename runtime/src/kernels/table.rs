//! The type of a kernel table, and the macro that fills one for an instruction set.

use resnet_plan::winograd::Tile;
use resnet_plan::{Class, Precision};

use crate::kernels::activate::ActivateTask;
use crate::kernels::convert::ConvertTask;
use crate::kernels::dot::{DotKernel, Method};
use crate::kernels::elementwise::ElementwiseTask;
use crate::kernels::epilogue::Epilogue;
use crate::kernels::fold::FoldTask;
use crate::kernels::groups::GroupTask;
use crate::kernels::moments::{NormTask, StatisticsTask};
use crate::kernels::panels::Panel;
use crate::kernels::pool::PoolTask;
use crate::kernels::product::Product;
use crate::kernels::strassen::{FactorTask, LastTask, SumsTask};
use crate::kernels::wide::{InputRun, Kind, WeightRows};
use crate::kernels::winograd::made_row::RowWeights;
use crate::kernels::winograd::row_product::RowProduct;
use crate::kernels::winograd::transform::{InputTile, KernelTile, OutputTile};
use crate::kernels::winograd_rows::transform::{BandInput, BandKernel, BandOutput};

/// The kernels of an instruction set, and the shapes that they work in.
///
/// Whoever has a reference to one may call its functions, as far as the instruction set goes: the machine has it. So the tables
/// themselves are private to `isa`, and [`Isa::kernels`](crate::Isa::kernels), which gives the references, looks first.
pub struct Kernels {
    /// The name of the instruction set of the kernels for f32 and what is widened.
    pub(crate) isa: &'static str,
    /// Elements in a vector.
    pub(crate) lanes: usize,
    /// Output channels in a panel of packed weights, a multiple of `lanes`.
    pub(crate) panel: usize,
    /// Output pixels in a tile.
    pub(crate) tile: usize,
    /// Of words of one f32.
    pub(crate) float: WordKernels,
    /// Of words of two int16, which int8 are widened to.
    pub(crate) integer: WordKernels,
    /// Groups of few channels, of f32, in vectors of `lanes`.
    pub(crate) groups: unsafe fn(&GroupTask<'_>),
    /// The same of bf16, to sums.
    pub(crate) groups_of_bf16: unsafe fn(&GroupTask<'_>),
    /// The same of int8, to sums; perhaps in vectors of half as many lanes.
    pub(crate) groups_of_int8: unsafe fn(&GroupTask<'_>),
    pub(crate) widen_inputs: unsafe fn(&InputRun),
    pub(crate) widen_weights: unsafe fn(&WeightRows),
    /// Winograd's algorithm with fused weights, for tiles of 4x4, and of 2x2 where the stride is 2.
    pub(crate) fused_four: FusedKernels,
    pub(crate) fused_two: FusedKernels,
    pub(crate) winograd_kernel: unsafe fn(&KernelTile),
    pub(crate) winograd_input: unsafe fn(&InputTile<'_>),
    pub(crate) winograd_rows_kernel: unsafe fn(&BandKernel<'_>),
    pub(crate) winograd_rows_input: unsafe fn(&BandInput<'_>),
    pub(crate) strassen_factors: unsafe fn(&FactorTask),
    pub(crate) activate: unsafe fn(&ActivateTask<'_>),
    pub(crate) max_pool: unsafe fn(&PoolTask<'_>),
    pub(crate) average_pool: unsafe fn(&PoolTask<'_>),
    pub(crate) blur: unsafe fn(&PoolTask<'_>),
    pub(crate) elementwise: unsafe fn(&ElementwiseTask<'_>),
    pub(crate) group_norm: unsafe fn(&NormTask<'_>),
    pub(crate) statistics: unsafe fn(&StatisticsTask<'_>),
    pub(crate) convert: unsafe fn(&ConvertTask<'_>),
    pub(crate) fold: unsafe fn(&mut FoldTask<'_>),
    /// Of words of bf16 and of int8 as they are, where there are instructions for them. Those by vectors have the table's `lanes` and
    /// `panel`, so that their weights serve the kernels of widened elements, too.
    pub(crate) bf16: Option<DotKernel>,
    pub(crate) int8: Option<DotKernel>,
}

/// Kernels of wide words, and of sums of their products.
#[derive(Clone, Copy)]
pub(crate) struct WordKernels {
    /// Integers: fetches a line a row, whatever the task says.
    pub(crate) product: unsafe fn(&Product<'_>),
    pub(crate) winograd_output: unsafe fn(&OutputTile),
    pub(crate) winograd_rows_output: unsafe fn(&BandOutput),
    pub(crate) strassen_sums: unsafe fn(&SumsTask<'_>),
    pub(crate) strassen_last: unsafe fn(&LastTask<'_>),
    /// Makes outputs of sums: bf16 of those of f32, int8 of those of integers.
    pub(crate) finish: unsafe fn(&Epilogue<'_>),
    pub(crate) peak: unsafe fn(usize) -> f32,
}

/// Products of rows of Winograd's transformed weights. The lists have a function for each row.
#[derive(Clone, Copy)]
pub(crate) enum FusedKernels {
    /// Instruction sets of many registers transform weights in them, for a group of tiles.
    InRegisters(&'static [unsafe fn(&RowProduct<'_>)]),
    /// Those of few make a row of weights, and then multiply all tiles with it.
    InCache { make: &'static [unsafe fn(&RowWeights)], multiply: unsafe fn(&RowProduct<'_>) },
}

impl Kernels {
    /// A panel of so many output channels in one block.
    pub(crate) fn panel_at(&self, index: usize, channels: usize) -> Panel {
        let first = index * self.panel;
        let channels = (channels - first).min(self.panel);
        Panel { block: 0, first, channels, width: channels.next_multiple_of(self.lanes), place: first }
    }

    /// The kernels of what elements are widened to.
    pub(crate) fn of(&self, kind: Kind) -> &WordKernels {
        if kind.is_integer() { &self.integer } else { &self.float }
    }

    /// Words in a vector, and channels in a panel, of the kernels for a precision.
    pub(crate) fn shape(&self, precision: Precision) -> (usize, usize) {
        self.dots(precision).map_or((self.lanes, self.panel), |dots| (dots.lanes, dots.panel))
    }

    /// What multiplies the words of a precision as they are; nothing, if that is f32, or they are widened.
    pub(crate) fn dots(&self, precision: Precision) -> Option<&DotKernel> {
        match precision {
            Precision::F32 => None,
            Precision::Bf16 => self.bf16.as_ref(),
            Precision::Int8 => self.int8.as_ref(),
        }
    }

    /// Winograd's algorithm with fused weights.
    pub(crate) fn fused(&self, tile: Tile) -> FusedKernels {
        match tile {
            Tile::Four => self.fused_four,
            Tile::TwoOfStride2 => self.fused_two,
        }
    }

    /// The class of the kernels for a precision.
    pub(crate) fn class(&self, precision: Precision) -> Class {
        match self.dots(precision).map(|dots| dots.method) {
            None => Class::Wide,
            Some(Method::Vectors(..)) => Class::Dots,
            Some(Method::Tiles(_)) => Class::Tiles,
        }
    }

    /// The name of the instruction set of the kernels for a precision.
    pub(crate) fn isa(&self, precision: Precision) -> &'static str {
        self.dots(precision).map_or(self.isa, |dots| dots.isa)
    }
}

/// A function that is compiled under target features.
macro_rules! compiled {
    ($simd:ty, [$($features:literal)?], $name:ident, $task:ty, $kernel:path) => {
        /// # Safety
        /// The machine has the instruction set; the contract of the kernel holds for the task.
        $(#[target_feature(enable = $features)])?
        unsafe fn $name(task: &$task) {
            // SAFETY: the caller's contract.
            unsafe { $kernel(<$simd>::assume(), task) }
        }
    };
}
pub(crate) use compiled;

/// The same for each kind of elements that there is, and one function that takes all.
macro_rules! by_kind {
    ($simd:ty, $features:tt, $name:ident, $task:ty, $module:ident::$kernel:ident, {$($kind:pat => $elements:ident),*}) => {
        /// # Safety
        /// The machine has the instruction set; the contract of the kernel holds for the task.
        unsafe fn $name(task: &$task) {
            match task.kind {
                $($kind => {
                    compiled!($simd, $features, of_kind, $task, $module::$kernel::<$simd, wide::$elements>);
                    // SAFETY: the caller's contract.
                    unsafe { of_kind(task) }
                })*
                #[allow(unreachable_patterns)]
                kind => unreachable!("there is no such kernel for {kind:?}"),
            }
        }
    };
}
pub(crate) use by_kind;

/// The table of an instruction set: the kernels over its vector operations, each compiled under its target features.
macro_rules! kernels {
    (
        $isa:literal, $simd:ty, [$($features:literal)?], tile: $tile:literal, vectors: $vectors:literal
    ) => {{
        use crate::kernels::winograd::{made_row, row_product, transform as winograd};
        use crate::kernels::winograd_rows::transform as winograd_rows;
        use crate::kernels::product::{self, Fetch, Product};
        use crate::kernels::{self, epilogue, fold, groups, peak, pool, strassen, wide};
        use crate::kernels::table::{FusedKernels, WordKernels, by_kind, compiled};
        use crate::kernels::wide::{Float, Integer, Kind};
        use crate::simd::Simd;

        macro_rules! compile {
            ($name:ident, $task:ty, $kernel:path) => {
                compiled!($simd, [$($features)?], $name, $task, $kernel);
            };
        }
        // One function for each row and each way to fetch: without optimization, one function of all takes 1 MB of stack.
        macro_rules! row {
            ($kernel:ident $row:literal) => {{
                compile!(row, row_product::RowProduct<'_>, row_product::$kernel::<$simd, $row>);
                row
            }};
        }
        const { assert!($vectors > 2 || <$simd>::LANES <= 8, "a row of weights outgrows `made_row::LARGEST_ROW`") };
        macro_rules! make {
            ($kernel:ident $row:literal) => {{
                compile!(make, made_row::RowWeights, made_row::$kernel::<$simd, $row>);
                make
            }};
        }
        compile!(product_once, Product<'_>, product::compute::<Float, $simd, $tile, $vectors, 8, true, false>);
        compile!(product_all, Product<'_>, product::compute::<Float, $simd, $tile, $vectors, 1, false, false>);
        compile!(product_half, Product<'_>, product::compute::<Float, $simd, $tile, $vectors, 2, false, false>);
        compile!(product_quarter, Product<'_>, product::compute::<Float, $simd, $tile, $vectors, 4, false, true>);
        compile!(product_eighth, Product<'_>, product::compute::<Float, $simd, $tile, $vectors, 8, false, false>);
        compile!(product_of_pairs, Product<'_>, product::compute::<Integer, $simd, $tile, $vectors, 8, false, true>);
        compile!(compute_groups, groups::GroupTask<'_>, groups::floats::compute);
        compile!(compute_groups_of_bf16, groups::GroupTask<'_>, groups::words::compute::<$simd, groups::words::Bf16>);
        compile!(compute_groups_of_int8, groups::GroupTask<'_>, groups::words::compute::<$simd, groups::words::Int8>);
        by_kind!($simd, [$($features)?], winograd_kernel, winograd::KernelTile, winograd::kernel, {Kind::F32 => F32, Kind::Bf16 => Bf16, Kind::U8 | Kind::I8 => I8});
        by_kind!($simd, [$($features)?], winograd_input, winograd::InputTile<'_>, winograd::input, {Kind::F32 => F32, Kind::Bf16 => Bf16, Kind::U8 => U8, Kind::I8 => I8});
        compile!(winograd_output_of_floats, winograd::OutputTile, winograd::output::<$simd, Float>);
        compile!(winograd_output_of_integers, winograd::OutputTile, winograd::output::<$simd, Integer>);
        by_kind!($simd, [$($features)?], widen_inputs, wide::InputRun, wide::inputs, {Kind::Bf16 => Bf16, Kind::U8 => U8, Kind::I8 => I8});
        by_kind!($simd, [$($features)?], widen_weights, wide::WeightRows, wide::weights, {Kind::Bf16 => Bf16, Kind::U8 | Kind::I8 => I8});
        compile!(finish_floats, epilogue::Epilogue<'_>, epilogue::of_floats);
        compile!(finish_integers, epilogue::Epilogue<'_>, epilogue::of_integers);
        by_kind!($simd, [$($features)?], winograd_rows_kernel, winograd_rows::BandKernel<'_>, winograd_rows::kernel, {Kind::F32 => F32, Kind::Bf16 => Bf16, Kind::U8 | Kind::I8 => I8});
        by_kind!($simd, [$($features)?], winograd_rows_input, winograd_rows::BandInput<'_>, winograd_rows::input, {Kind::F32 => F32, Kind::Bf16 => Bf16, Kind::U8 => U8, Kind::I8 => I8});
        compile!(winograd_rows_output_of_floats, winograd_rows::BandOutput, winograd_rows::output::<$simd, Float>);
        compile!(winograd_rows_output_of_integers, winograd_rows::BandOutput, winograd_rows::output::<$simd, Integer>);
        compile!(strassen_sums_of_floats, strassen::SumsTask<'_>, strassen::sums::<$simd, Float>);
        compile!(strassen_sums_of_integers, strassen::SumsTask<'_>, strassen::sums::<$simd, Integer>);
        compile!(strassen_last_of_floats, strassen::LastTask<'_>, strassen::last::<$simd, Float>);
        compile!(strassen_last_of_integers, strassen::LastTask<'_>, strassen::last::<$simd, Integer>);
        by_kind!($simd, [$($features)?], strassen_factors, strassen::FactorTask, strassen::make_factors, {Kind::Bf16 => Bf16, Kind::U8 | Kind::I8 => I8});
        compile!(activate, kernels::activate::ActivateTask<'_>, kernels::activate::run);
        compile!(max_pool, pool::PoolTask<'_>, pool::max);
        compile!(average_pool, pool::PoolTask<'_>, pool::average);
        compile!(blur, pool::PoolTask<'_>, pool::blur);
        compile!(elementwise, kernels::elementwise::ElementwiseTask<'_>, kernels::elementwise::run);
        compile!(group_norm, kernels::moments::NormTask<'_>, kernels::moments::normalize);
        compile!(statistics, kernels::moments::StatisticsTask<'_>, kernels::moments::statistics);
        compile!(convert, kernels::convert::ConvertTask<'_>, kernels::convert::run);

        /// # Safety
        /// The machine has the instruction set; the contract of [`product::compute`] holds.
        $(#[target_feature(enable = $features)])?
        unsafe fn product(task: &Product<'_>) {
            // SAFETY: the caller's contract.
            unsafe {
                match task.fetch {
                    _ if !<$simd>::FETCHES || task.channels.div_ceil(<$simd>::LANES) < $vectors => product_quarter(task),
                    Fetch::Once if <$simd>::fetches_once() => product_once(task),
                    Fetch::All => product_all(task),
                    Fetch::Half => product_half(task),
                    Fetch::Once | Fetch::Eighth if $vectors > 2 => product_eighth(task),
                    Fetch::Once | Fetch::Quarter | Fetch::Eighth => product_quarter(task),
                }
            }
        }

        /// # Safety
        /// The machine has the instruction set.
        $(#[target_feature(enable = $features)])?
        unsafe fn fold(task: &mut fold::FoldTask<'_>) {
            fold::run(task);
        }

        /// # Safety
        /// The machine has the instruction set.
        $(#[target_feature(enable = $features)])?
        unsafe fn peak(rounds: usize) -> f32 {
            // SAFETY: the caller's contract.
            unsafe { peak::run::<Float, _>(<$simd>::assume(), rounds) }
        }

        /// # Safety
        /// The machine has the instruction set.
        $(#[target_feature(enable = $features)])?
        unsafe fn peak_of_pairs(rounds: usize) -> f32 {
            // SAFETY: the caller's contract.
            unsafe { peak::run::<Integer, _>(<$simd>::assume(), rounds) }
        }

        crate::kernels::table::Kernels {
            isa: $isa,
            lanes: <$simd>::LANES,
            panel: $vectors * <$simd>::LANES,
            tile: $tile,
            float: WordKernels {
                product,
                winograd_output: winograd_output_of_floats,
                winograd_rows_output: winograd_rows_output_of_floats,
                strassen_sums: strassen_sums_of_floats,
                strassen_last: strassen_last_of_floats,
                finish: finish_floats,
                peak,
            },
            integer: WordKernels {
                product: product_of_pairs,
                winograd_output: winograd_output_of_integers,
                winograd_rows_output: winograd_rows_output_of_integers,
                strassen_sums: strassen_sums_of_integers,
                strassen_last: strassen_last_of_integers,
                finish: finish_integers,
                peak: peak_of_pairs,
            },
            groups: compute_groups,
            groups_of_bf16: compute_groups_of_bf16,
            groups_of_int8: compute_groups_of_int8,
            widen_inputs,
            widen_weights,
            fused_four: if $vectors > 2 {
                FusedKernels::InRegisters(&[row!(row_of_four 0), row!(row_of_four 1), row!(row_of_four 2), row!(row_of_four 3), row!(row_of_four 4), row!(row_of_four 5)])
            } else {
                compile!(multiply, row_product::RowProduct<'_>, made_row::multiply_four);
                FusedKernels::InCache { make: &[make!(make_four 0), make!(make_four 1), make!(make_four 2), make!(make_four 3), make!(make_four 4), make!(make_four 5)], multiply }
            },
            fused_two: if $vectors > 2 {
                FusedKernels::InRegisters(&[row!(row_of_two 0), row!(row_of_two 1), row!(row_of_two 2), row!(row_of_two 3)])
            } else {
                compile!(multiply, row_product::RowProduct<'_>, made_row::multiply_two);
                FusedKernels::InCache { make: &[make!(make_two 0), make!(make_two 1), make!(make_two 2), make!(make_two 3)], multiply }
            },
            winograd_kernel,
            winograd_input,
            winograd_rows_kernel,
            winograd_rows_input,
            strassen_factors,
            activate,
            max_pool,
            average_pool,
            blur,
            elementwise,
            group_norm,
            statistics,
            convert,
            fold,
            bf16: None,
            int8: None,
        }
    }};
}
pub(crate) use kernels;

/// Sums of int8 in groups, by an instruction that multiplies words of four.
macro_rules! groups_of_int8 {
    ($simd:ty, [$features:literal]) => {{
        use crate::kernels::{groups, table::compiled};
        use crate::simd::Simd;

        compiled!(
            $simd,
            [$features],
            compute,
            groups::GroupTask<'_>,
            groups::words::compute::<$simd, groups::words::Int8>
        );
        compute
    }};
}
pub(crate) use groups_of_int8;

/// The product of words of two int16 that an instruction set has an instruction for.
macro_rules! product_of_pairs {
    ($simd:ty, [$features:literal], tile: $tile:literal, vectors: $vectors:literal) => {{
        use crate::kernels::{product, wide::Integer};
        use crate::simd::Simd;

        /// # Safety
        /// The machine has the instruction set; the contract of [`product::compute`] holds.
        #[target_feature(enable = $features)]
        unsafe fn product_of_pairs(task: &product::Product<'_>) {
            // SAFETY: the caller's contract.
            unsafe {
                product::compute::<Integer, $simd, $tile, $vectors, 8, false, true>(<$simd>::assume(), task);
            }
        }
        product_of_pairs
    }};
}
pub(crate) use product_of_pairs;
