//! What is on the page: reads the session, sends commands. Nothing is fetched here, and nothing is worked out but words
//! and places on the page.

pub(crate) mod case_list;
pub(crate) mod workbench;
mod upload;
mod worklist;
mod versions;
mod slice_view;
mod layout;
mod surface_view;
mod switch;
mod window;
mod tools;
mod pacs;
mod palette;
mod rail;
mod review;
mod keys_page;
mod contradictions;
mod topbar;
mod status_bar;
mod acts;
mod changes;
mod shortcuts;
pub(crate) mod people;
mod who_is_in;
pub(crate) mod sign_in;
mod banner;
mod warnings;
mod job;
mod icon;
