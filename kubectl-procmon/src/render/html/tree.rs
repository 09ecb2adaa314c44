//! Trees as lists in which the rows below a row follow it.

/// Rows in the order of a tree, each with its depth. `parent` names the place of the row above a row, if it
/// has one. A row that is its own ancestor, as only a forged document has it, begins a tree.
pub(super) fn flatten(rows: usize, parent: impl Fn(usize) -> Option<usize>) -> Vec<(usize, u32)> {
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); rows];
    let mut roots = Vec::new();
    for row in 0..rows {
        match parent(row).filter(|above| *above < rows && *above != row) {
            Some(above) => below[above].push(row),
            None => roots.push(row),
        }
    }
    let mut ordered = Vec::with_capacity(rows);
    let mut is_placed = vec![false; rows];
    for root in roots.into_iter().chain(0..rows) {
        let mut stack = vec![(root, 0)];
        while let Some((row, depth)) = stack.pop() {
            if std::mem::replace(&mut is_placed[row], true) {
                continue;
            }
            ordered.push((row, depth));
            stack.extend(below[row].iter().rev().map(|child| (*child, depth + 1)));
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::flatten;

    #[test]
    fn every_row_stands_once_below_its_parent() {
        let parents = [None, Some(0), Some(1), Some(0), Some(9), Some(6), Some(5)];
        assert_eq!(
            flatten(7, |row| parents[row]),
            [(0, 0), (1, 1), (2, 2), (3, 1), (4, 0), (5, 0), (6, 1)]
        );
    }
}
