//! Circles in a graph.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// From each node, the nodes that it leads to.
pub(super) type Graph = BTreeMap<usize, BTreeSet<usize>>;

/// A set of nodes of which each leads to every other.
#[derive(Debug)]
pub(super) struct Knot {
    pub(super) size: usize,
    /// A shortest circle of it.
    pub(super) circle: Vec<usize>,
}

/// The strongly connected components with more than one node.
pub(super) fn knots(graph: &Graph) -> Vec<Knot> {
    let reached: BTreeMap<usize, BTreeSet<usize>> =
        graph.keys().map(|node| (*node, reached_from(graph, *node))).collect();
    let mut known = BTreeSet::new();
    let mut knots = Vec::new();
    for (node, reachable) in &reached {
        let leads_back = |other: &&usize| reached.get(other).is_some_and(|set| set.contains(node));
        let knot: BTreeSet<usize> = reachable.iter().filter(leads_back).copied().collect();
        if knot.len() > 1 && known.insert(*node) {
            known.extend(&knot);
            let circles = knot.iter().filter_map(|node| shortest_circle(graph, *node));
            let circle = circles.min_by_key(Vec::len).unwrap_or_default();
            knots.push(Knot { size: knot.len(), circle });
        }
    }
    knots
}

/// The nodes that `start` leads to in one step or more.
fn reached_from(graph: &Graph, start: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        let next = graph.get(&node).into_iter().flatten();
        open.extend(next.filter(|node| reached.insert(**node)));
    }
    reached
}

/// A shortest way from `start` back to it.
fn shortest_circle(graph: &Graph, start: usize) -> Option<Vec<usize>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in graph.get(way.last()?).into_iter().flatten() {
            if *next == start {
                return Some(way);
            }
            if seen.insert(*next) {
                ways.push_back(way.iter().copied().chain([*next]).collect());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(arrows: &[(usize, usize)]) -> Graph {
        let mut graph = Graph::new();
        for (from, to) in arrows {
            graph.entry(*from).or_default().insert(*to);
        }
        graph
    }

    #[test]
    fn a_graph_without_a_circle_has_no_knot() {
        assert!(knots(&graph(&[(1, 2), (1, 3), (2, 4), (3, 4)])).is_empty());
    }

    #[test]
    fn each_knot_shows_its_shortest_circle() {
        let found =
            knots(&graph(&[(1, 2), (2, 3), (3, 1), (3, 2), (3, 7), (7, 8), (8, 9), (9, 7)]));
        let found: Vec<_> = found.into_iter().map(|knot| (knot.size, knot.circle)).collect();
        assert_eq!(found, [(3, vec![2, 3]), (3, vec![7, 8, 9])]);
    }
}
