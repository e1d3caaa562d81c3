//! Trees that cache entries lead to: which filters are asked, and what the tables decide by their answers.
//!
//! All nodes lie in one slab of fixed size. A node is a leaf, or a test: a filter's slot and the list of classes that it has answered
//! so far, each with a child. A child that is missing has not been seen yet.

/// A node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(pub u32);

/// What the tables decided, by its place in the list that the user of the trees keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeafId(pub u32);

/// The slab has no free node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// What a node asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The tables have decided.
    Leaf(LeafId),
    /// The filter in this slot is to be asked; [`Trees::child`] says where its answer leads.
    Test(u32),
}

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
enum Node {
    Leaf(u32),
    /// A filter's slot and the first edge.
    Test {
        slot: u32,
        edges: u32,
    },
    /// An edge of a test: what the filter answered, where it leads, and the next edge.
    Edge {
        class: u32,
        child: u32,
        next: u32,
    },
    /// On the list of nodes that were in use.
    Free {
        next: u32,
    },
}

/// The slab.
#[derive(Debug)]
pub struct Trees {
    /// Those that were ever in use; there is room for all.
    nodes: Vec<Node>,
    capacity: usize,
    free: u32,
    in_use: usize,
    /// What is left of a tree that is walked through.
    pending: Vec<u32>,
}

impl Trees {
    /// Room for so many nodes; a test takes one and another for each of its answers.
    pub fn new(capacity: usize) -> Trees {
        let capacity = capacity.min(NONE as usize - 1);
        Trees {
            nodes: Vec::with_capacity(capacity),
            capacity,
            free: NONE,
            in_use: 0,
            pending: Vec::with_capacity(256),
        }
    }

    /// How many nodes are in use.
    pub fn len(&self) -> usize {
        self.in_use
    }

    /// Whether there is no tree.
    pub fn is_empty(&self) -> bool {
        self.in_use == 0
    }

    /// Forgets all trees, at no cost.
    pub fn clear(&mut self) {
        self.nodes.clear();
        (self.free, self.in_use) = (NONE, 0);
    }

    /// What a node asks for.
    #[inline]
    pub fn step(&self, node: NodeId) -> Step {
        match self.nodes[node.0 as usize] {
            Node::Leaf(leaf) => Step::Leaf(LeafId(leaf)),
            Node::Test { slot, .. } => Step::Test(slot),
            Node::Edge { .. } | Node::Free { .. } => unreachable!("no id leads to an edge or a free node"),
        }
    }

    /// Where an answer to a test leads, if it was seen before.
    #[inline]
    pub fn child(&self, test: NodeId, class: u32) -> Option<NodeId> {
        let Node::Test { edges, .. } = self.nodes[test.0 as usize] else { return None };
        let mut at = edges;
        while let Some(Node::Edge { class: other, child, next }) = self.nodes.get(at as usize) {
            if *other == class {
                return Some(NodeId(*child));
            }
            at = *next;
        }
        None
    }

    /// A tree in which the filters in these slots gave these answers, in order, and that ends in a leaf.
    ///
    /// # Errors
    ///
    /// [`Full`]; nothing was taken then.
    pub fn grow(&mut self, answers: &[(u32, u32)], leaf: LeafId) -> Result<NodeId, Full> {
        if self.capacity - self.in_use < 1 + answers.len() * 2 {
            return Err(Full);
        }
        let mut node = self.take(Node::Leaf(leaf.0));
        for (slot, class) in answers.iter().rev() {
            let edge = self.take(Node::Edge { class: *class, child: node, next: NONE });
            node = self.take(Node::Test { slot: *slot, edges: edge });
        }
        Ok(NodeId(node))
    }

    /// Adds what the tables made of a packet to the tree of its cache entry, and says whether the leaf is in it now.
    ///
    /// `answers` are those of all filters that the tables asked, in order. The same tables ask in the same order, so as far as the
    /// answers are those of a way in the tree it is that way. If the tree disagrees, which would be a tree of other tables, it is left
    /// alone.
    ///
    /// # Errors
    ///
    /// [`Full`]; the tree stays as it was.
    pub fn extend(&mut self, root: NodeId, answers: &[(u32, u32)], leaf: LeafId) -> Result<bool, Full> {
        let mut node = root;
        for (i, (slot, class)) in answers.iter().enumerate() {
            match self.nodes[node.0 as usize] {
                Node::Test { slot: there, edges } if there == *slot => match self.child(node, *class) {
                    Some(child) => node = child,
                    None => {
                        if self.capacity - self.in_use < 2 + (answers.len() - i - 1) * 2 {
                            return Err(Full);
                        }
                        let child = self.grow(&answers[i + 1..], leaf)?;
                        let edge = self.take(Node::Edge { class: *class, child: child.0, next: edges });
                        self.nodes[node.0 as usize] = Node::Test { slot: *slot, edges: edge };
                        return Ok(true);
                    }
                },
                _ => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Whether something is so of all leaves of a tree.
    pub fn all_leaves(&mut self, root: NodeId, mut is_so: impl FnMut(LeafId) -> bool) -> bool {
        let mut pending = std::mem::take(&mut self.pending);
        pending.clear();
        pending.push(root.0);
        let mut all = true;
        while let Some(node) = pending.pop().filter(|_| all) {
            match self.nodes[node as usize] {
                Node::Leaf(id) => all = is_so(LeafId(id)),
                Node::Test { edges, .. } => {
                    let mut at = edges;
                    while let Some(Node::Edge { child, next, .. }) = self.nodes.get(at as usize) {
                        pending.push(*child);
                        at = *next;
                    }
                }
                Node::Edge { .. } | Node::Free { .. } => {}
            }
        }
        self.pending = pending;
        all
    }

    /// Gives a tree's nodes back, and tells of its leaves.
    pub fn remove(&mut self, root: NodeId, mut leaf: impl FnMut(LeafId)) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.clear();
        pending.push(root.0);
        while let Some(node) = pending.pop() {
            match self.nodes[node as usize] {
                Node::Leaf(id) => leaf(LeafId(id)),
                Node::Test { edges, .. } => {
                    let mut at = edges;
                    while let Some(Node::Edge { child, next, .. }) = self.nodes.get(at as usize).copied() {
                        pending.push(child);
                        self.give(at);
                        at = next;
                    }
                }
                Node::Edge { .. } | Node::Free { .. } => continue,
            }
            self.give(node);
        }
        self.pending = pending;
    }

    /// A node, of which callers have counted that there is one.
    fn take(&mut self, node: Node) -> u32 {
        self.in_use += 1;
        let id = self.free;
        match self.nodes.get_mut(id as usize) {
            Some(place) => {
                if let Node::Free { next } = *place {
                    self.free = next;
                }
                *place = node;
                id
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() as u32 - 1
            }
        }
    }

    fn give(&mut self, id: u32) {
        self.nodes[id as usize] = Node::Free { next: self.free };
        self.free = id;
        self.in_use -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(trees: &Trees, root: NodeId, answer: impl Fn(u32) -> u32) -> Option<LeafId> {
        let mut node = root;
        loop {
            match trees.step(node) {
                Step::Leaf(leaf) => return Some(leaf),
                Step::Test(slot) => node = trees.child(node, answer(slot))?,
            }
        }
    }

    #[test]
    fn a_tree_answers_what_it_was_told_and_grows_where_it_was_not() {
        let mut trees = Trees::new(64);
        let root = trees.grow(&[(7, 1)], LeafId(10)).expect("room");
        assert_eq!(walk(&trees, root, |_| 1), Some(LeafId(10)));
        assert_eq!(walk(&trees, root, |_| 0), None);
        trees.extend(root, &[(7, 0), (9, 3)], LeafId(20)).expect("room");
        trees.extend(root, &[(7, 0), (9, 4)], LeafId(30)).expect("room");
        let by = |seven, nine| move |slot| if slot == 7 { seven } else { nine };
        assert_eq!(walk(&trees, root, by(1, 3)), Some(LeafId(10)));
        assert_eq!(walk(&trees, root, by(0, 3)), Some(LeafId(20)));
        assert_eq!(walk(&trees, root, by(0, 4)), Some(LeafId(30)));
        assert_eq!(walk(&trees, root, by(0, 5)), None);
        assert!(trees.all_leaves(root, |leaf| leaf.0 % 10 == 0));
        assert!((1..4).all(|n| !trees.all_leaves(root, |leaf| leaf.0 != n * 10)));
        let mut leaves = Vec::new();
        trees.remove(root, |leaf| leaves.push(leaf.0));
        leaves.sort_unstable();
        assert_eq!(leaves, [10, 20, 30]);
        assert!(trees.is_empty());
    }

    #[test]
    fn a_full_slab_changes_nothing() {
        let mut trees = Trees::new(4);
        let root = trees.grow(&[(1, 1)], LeafId(0)).expect("three nodes");
        assert_eq!(trees.extend(root, &[(1, 0)], LeafId(1)), Err(Full));
        assert_eq!(trees.grow(&[(1, 0)], LeafId(1)), Err(Full));
        assert_eq!(walk(&trees, root, |_| 1), Some(LeafId(0)));
        assert_eq!(trees.len(), 3);
        trees.remove(root, |_| {});
        for _ in 0..10 {
            let root = trees.grow(&[(1, 1)], LeafId(0)).expect("nodes come back");
            trees.remove(root, |_| {});
        }
    }
}
