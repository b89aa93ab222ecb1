//! What is on the page: reads the session, sends commands. No fetching and no arithmetic here.

pub(crate) mod case_list;
pub(crate) mod workbench;
mod upload;
mod worklist;
mod versions;
mod slice_view;
mod tools;
mod rail;
mod contradictions;
mod topbar;
mod status_bar;
mod keys;
mod shortcuts;
pub(crate) mod sign_in;
mod banner;
mod warnings;
mod job;
mod icon;
