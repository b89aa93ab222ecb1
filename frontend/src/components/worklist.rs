//! Which cases of the list are shown, and in which order.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use leptos::prelude::*;
use shared::api::CaseSummary;
use shared::case::{CaseId, JobState, Stage};

use crate::session::Session;

/// Which cases are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Filter {
    /// All.
    #[default]
    All,
    /// Those with slices to correct and nothing under way.
    ToCorrect,
    /// Those with a job that waits or runs.
    UnderWay,
    /// Those that were refined.
    Refined,
    /// Those whose last job failed or was cancelled, or with corrections that the server does not have.
    Trouble,
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// The latest first.
    #[default]
    Newest,
    /// The earliest first.
    Oldest,
    /// By name.
    Name,
    /// The one with the most slices to do first.
    MostToDo,
    /// The one that the networks are least sure of first.
    MostUncertain,
}

/// What the person at the screen wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Words that the name, the bundle, the note or the names of those it was given to hold, in any order.
    pub(crate) words: String,
    /// Which cases.
    pub(crate) filter: Filter,
    /// In which order.
    pub(crate) order: Order,
}

const FILTERS: [(Filter, &str, &str); 5] = [
    (Filter::All, "all", "All cases"),
    (Filter::ToCorrect, "to-correct", "To correct"),
    (Filter::UnderWay, "under-way", "Under way"),
    (Filter::Refined, "refined", "Refined"),
    (Filter::Trouble, "trouble", "Need attention"),
];

const ORDERS: [(Order, &str, &str); 5] = [
    (Order::Newest, "newest", "Newest first"),
    (Order::Oldest, "oldest", "Oldest first"),
    (Order::Name, "name", "By name"),
    (Order::MostToDo, "most-to-do", "Most to do first"),
    (Order::MostUncertain, "most-uncertain", "Most uncertain first"),
];

/// The cases that a wish asks for, in its order.
pub(crate) fn chosen(cases: &[CaseSummary], unsent: &BTreeMap<CaseId, usize>, wish: &Wish) -> Vec<CaseId> {
    let words: Vec<String> = wish.words.split_whitespace().map(str::to_lowercase).collect();
    let holds = |case: &&CaseSummary| {
        let text = format!("{} {} {} {}", case.name, case.bundle, case.note, case.assigned.join(" ")).to_lowercase();
        words.iter().all(|word| text.contains(word)) && passes(case, unsent.contains_key(&case.id), wish.filter)
    };
    let mut shown: Vec<&CaseSummary> = cases.iter().filter(holds).collect();
    match wish.order {
        Order::Newest => shown.sort_by_key(|case| Reverse(case.created_s)),
        Order::Oldest => shown.sort_by_key(|case| case.created_s),
        Order::Name => shown.sort_by_key(|case| case.name.to_lowercase()),
        Order::MostUncertain => shown.sort_by(|a, b| {
            // Those of which nothing is known yet come last.
            let known = |case: &CaseSummary| case.uncertain.unwrap_or(-1.0);
            known(b).total_cmp(&known(a))
        }),
        Order::MostToDo => shown.sort_by_key(|case| Reverse(case.slices.saturating_sub(case.slices_done))),
    }
    shown.into_iter().map(|case| case.id.clone()).collect()
}

fn passes(case: &CaseSummary, has_unsent: bool, filter: Filter) -> bool {
    let state = case.job.as_ref().map(|job| job.state);
    let under_way = matches!(state, Some(JobState::Queued | JobState::Running));
    match filter {
        Filter::All => true,
        Filter::ToCorrect => !under_way && case.stage != Stage::Presegmenting && case.slices_done < case.slices,
        Filter::UnderWay => under_way,
        Filter::Refined => case.rounds > 0,
        Filter::Trouble => has_unsent || matches!(state, Some(JobState::Failed | JobState::Cancelled)),
    }
}

/// How far all cases are.
#[component]
pub(crate) fn Progress() -> impl IntoView {
    let session = expect_context::<Session>();
    let sums = Memo::new(move |_| session.list.cases.with(|cases| sums(cases.as_deref().unwrap_or_default())));
    view! {
        <div class="list-progress" data-testid="list-progress">
            <span class="tabular muted">{move || sums.with(progress_text)}</span>
            <progress
                max=move || sums.with(|sums| sums.slices.max(1).to_string())
                value=move || sums.with(|sums| sums.slices_done.to_string()) aria-label="Slices done in all cases"
            ></progress>
        </div>
    }
}

/// What the cases come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    cases: usize,
    refined: usize,
    under_way: usize,
    slices: usize,
    slices_done: usize,
}

fn sums(cases: &[CaseSummary]) -> Sums {
    let count = |filter| cases.iter().filter(|case| passes(case, false, filter)).count();
    Sums {
        cases: cases.len(),
        refined: count(Filter::Refined),
        under_way: count(Filter::UnderWay),
        slices: cases.iter().map(|case| case.slices).sum(),
        slices_done: cases.iter().map(|case| case.slices_done).sum(),
    }
}

fn progress_text(sums: &Sums) -> String {
    let Sums { cases, refined, under_way, slices, slices_done } = sums;
    let noun = if *cases == 1 { "case" } else { "cases" };
    let busy = if *under_way > 0 { format!(" · {under_way} under way") } else { String::new() };
    format!("{refined} of {cases} {noun} refined · {slices_done} of {slices} slices done{busy}")
}

/// Search, filter and order above the list.
#[component]
pub(crate) fn WorklistBar(wish: RwSignal<Wish>) -> impl IntoView {
    let choose_filter = move |event| {
        let value = event_target_value(&event);
        let filter =
            FILTERS.into_iter().find(|(_, key, _)| *key == value).map(|(filter, ..)| filter).unwrap_or_default();
        wish.update(|wish| wish.filter = filter);
    };
    let choose_order = move |event| {
        let value = event_target_value(&event);
        let order = ORDERS.into_iter().find(|(_, key, _)| *key == value).map(|(order, ..)| order).unwrap_or_default();
        wish.update(|wish| wish.order = order);
    };
    view! {
        <div class="worklist-bar" role="search">
            <input
                type="search" placeholder="Search names, bundles, notes" aria-label="Search cases"
                data-testid="search-cases" autocomplete="off"
                prop:value=move || wish.with(|wish| wish.words.clone())
                on:input=move |event| wish.update(|wish| wish.words = event_target_value(&event))
            />
            <select aria-label="Which cases" data-testid="filter-cases" on:change=choose_filter>
                {FILTERS.into_iter().map(|(_, key, text)| view! { <option value=key>{text}</option> }).collect_view()}
            </select>
            <select aria-label="In which order" data-testid="sort-cases" on:change=choose_order>
                {ORDERS.into_iter().map(|(_, key, text)| view! { <option value=key>{text}</option> }).collect_view()}
            </select>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::case::{Job, JobKind};

    fn case(id: &str, name: &str, slices_done: usize, rounds: u32, job: Option<JobState>) -> CaseSummary {
        let job = job.map(|state| Job {
            id: serde_json::from_str("1").unwrap(),
            kind: JobKind::Presegment,
            state,
            progress: 0.0,
            message: String::new(),
            ahead: None,
        });
        let created_s = i64::from(id.as_bytes()[0]);
        let uncertain = (rounds > 0).then_some(0.25).or((slices_done > 0).then_some(0.5));
        let (bundle, stage) =
            ("hippocampus".into(), if slices_done > 0 { Stage::Correcting } else { Stage::Presegmenting });
        CaseSummary {
            id: id.into(),
            name: name.into(),
            bundle,
            created_s,
            stage,
            job,
            slices: 6,
            slices_done,
            rounds,
            round: 1,
            uncertain,
            warnings: Vec::new(),
            note: String::new(),
            assigned: Vec::new(),
            review: shared::api::ReviewState::Open,
            is_reading: false,
        }
    }

    #[test]
    fn the_list_shows_what_is_asked_for() {
        let noted = CaseSummary {
            note: "Motion; ask again".into(),
            assigned: vec!["mia".into()],
            ..case("a", "Left knee", 1, 0, None)
        };
        let cases = [
            noted,
            case("b", "brain 2", 5, 1, Some(JobState::Failed)),
            case("c", "Brain 1", 0, 0, Some(JobState::Running)),
        ];
        let unsent = BTreeMap::from([("a".into(), 1)]);
        let check = |words: &str, filter: Filter, order: Order, expected: &[&str]| {
            let wish = Wish { words: words.into(), filter, order };
            let expected: Vec<CaseId> = expected.iter().map(|id| (*id).into()).collect();
            assert_eq!(chosen(&cases, &unsent, &wish), expected, "{wish:?}");
        };
        check("", Filter::All, Order::Newest, &["c", "b", "a"]);
        check("", Filter::All, Order::Oldest, &["a", "b", "c"]);
        check("", Filter::All, Order::Name, &["c", "b", "a"]);
        check("", Filter::All, Order::MostToDo, &["c", "a", "b"]);
        check("", Filter::All, Order::MostUncertain, &["a", "b", "c"]);
        check("BRAIN", Filter::All, Order::Name, &["c", "b"]);
        check("hippo 2", Filter::All, Order::Name, &["b"]);
        check("", Filter::ToCorrect, Order::Newest, &["b", "a"]);
        check("", Filter::UnderWay, Order::Newest, &["c"]);
        check("", Filter::Refined, Order::Newest, &["b"]);
        check("", Filter::Trouble, Order::Newest, &["b", "a"]);
        check("motion", Filter::All, Order::Newest, &["a"]);
        check("MIA", Filter::All, Order::Newest, &["a"]);
        check("liver", Filter::All, Order::Newest, &[]);
        let told = progress_text(&sums(&cases));
        assert_eq!(told, "1 of 3 cases refined · 6 of 18 slices done · 1 under way");
    }
}
