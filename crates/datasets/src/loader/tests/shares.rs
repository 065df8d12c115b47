//! Several ranks: together they load the images of one.

use super::*;

/// The batches of each rank.
fn by_rank(count: usize, world_size: usize, config: LoaderConfig) -> Vec<Vec<Batch>> {
    let share = |rank| Share { rank, world_size };
    let of = |rank| loader(count, LoaderConfig { share: share(rank), ..config });
    (0..world_size).map(|rank| whole(of(rank).epoch(2)).collect()).collect()
}

#[test]
fn every_image_goes_to_one_rank_whatever_their_number() {
    for world_size in 1..=5 {
        for count in 5..=26 {
            let mut seen: Vec<u32> = by_rank(count, world_size, augmented(5))
                .into_iter()
                .flatten()
                .flat_map(|batch| batch.indices)
                .collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..count as u32).collect::<Vec<_>>(), "{world_size} ranks");
        }
    }
}

#[test]
fn ranks_take_the_same_steps_and_none_is_without_an_image() {
    for world_size in 1..=5 {
        for count in 5..=26 {
            let ranks = by_rank(count, world_size, augmented(5));
            for batches in &ranks {
                assert_eq!(batches.len(), ranks[0].len());
                assert!(batches.iter().all(|batch| !batch.indices.is_empty()));
            }
            for step in 0..ranks[0].len() {
                let together: usize = ranks.iter().map(|batches| batches[step].indices.len()).sum();
                assert!(ranks.iter().all(|batches| batches[step].in_all == together));
            }
        }
    }
}

/// Two ranks with batches of B equal one rank with batches of 2B.
#[test]
fn a_batch_of_all_ranks_is_the_batch_of_one() {
    let alone: Vec<_> = whole(loader(23, augmented(6)).epoch(2)).collect();
    let ranks = by_rank(23, 3, augmented(6));
    for (step, batch) in alone.iter().enumerate() {
        let shares: Vec<&Tensor> = ranks.iter().map(|batches| &batches[step].images).collect();
        assert_eq!(Tensor::cat(&shares, 0), batch.images);
        let indices = ranks.iter().flat_map(|batches| &batches[step].indices);
        assert!(indices.eq(&batch.indices));
    }
}

#[test]
fn a_remainder_too_small_for_all_joins_the_batch_before_it() {
    let sizes = |count, last_batch| -> Vec<usize> {
        let config = LoaderConfig { last_batch, ..config(4) };
        by_rank(count, 2, config)[1].iter().map(|batch| batch.in_all).collect()
    };
    assert_eq!(sizes(9, LastBatch::Keep), [4, 5]);
    assert_eq!(sizes(10, LastBatch::Keep), [4, 4, 2]);
    assert_eq!(sizes(9, LastBatch::Drop), [4, 4]);
}

#[test]
fn too_few_images_for_the_ranks_are_refused() {
    let check = |count, batch_size, rank, expected: &str| {
        let share = Share { rank, world_size: 3 };
        let config = LoaderConfig { share, ..config(batch_size) };
        let error = Loader::new(images(count), config).map(drop).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(2, 6, 1, "rank 1 of 3 ranks");
    check(9, 2, 0, "a batch has 2; use larger batches");
    check(9, 6, 3, "rank 3 of 3 ranks");
}
