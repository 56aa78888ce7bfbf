//! The cases of bad input that must have a test and words: each stands here with the test that shows it, and what it is
//! told stands in `fixtures/cases/`. More tests than the one named here may show a case.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Groups of cases, and which of each must be shown.
const DEMANDED: &[(&str, &[u8])] = &[
    ("GIT", &[1, 2, 6, 16, 20]),
    ("REM", &[1, 2, 3, 4, 5, 6]),
    ("YML", &[1, 3, 6, 8, 9, 11, 15, 16, 20]),
    ("NAM", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]),
    ("RSP", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 14, 15, 16, 17, 18, 23, 24, 25, 26]),
    ("TRM", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    ("SEC", &[1, 2, 3, 4, 5, 6]),
];

/// Case, file below `tests/`, test.
#[rustfmt::skip]
const CASES: &[(&str, &str, &str)] = &[
    ("GIT-01", "cli/input.rs", "git_01_a_link_to_an_absolute_path_is_named_and_never_followed"),
    ("GIT-02", "cli/input.rs", "git_02_a_link_upward_is_named_and_never_followed"),
    ("GIT-06", "cli/input.rs", "git_06_to_10_a_name_that_is_no_name_is_refused"),
    ("GIT-16", "cli/input.rs", "git_16_a_huge_file_is_refused_before_it_is_read"),
    ("GIT-20", "cli/input.rs", "git_20_a_submodule_where_manifests_are_is_refused"),
    ("REM-01", "cli/input.rs", "rem_01_to_06_an_address_that_would_run_something_is_refused"),
    ("REM-02", "cli/input.rs", "rem_01_to_06_an_address_that_would_run_something_is_refused"),
    ("REM-03", "cli/input.rs", "rem_01_to_06_an_address_that_would_run_something_is_refused"),
    ("REM-04", "cli/input.rs", "rem_01_to_06_a_project_cannot_have_its_record_pushed_to_such_an_address"),
    ("REM-05", "cli/input.rs", "rem_01_to_06_an_address_that_would_run_something_is_refused"),
    ("REM-06", "cli/input.rs", "rem_01_to_06_an_address_that_would_run_something_is_refused"),
    ("YML-01", "cli/documents.rs", "yml_01_an_alias_bomb_is_refused_while_it_is_small"),
    ("YML-03", "cli/documents.rs", "yml_03_nesting_without_end_is_refused"),
    ("YML-06", "cli/documents.rs", "yml_06_a_key_that_stands_twice_is_refused_with_both_places"),
    ("YML-08", "cli/documents.rs", "yml_08_a_word_that_is_a_boolean_elsewhere_is_text_with_a_warning"),
    ("YML-09", "cli/documents.rs", "yml_09_a_number_that_is_octal_elsewhere_is_text_with_a_warning"),
    ("YML-11", "cli/documents.rs", "yml_11_an_integer_of_any_size_survives"),
    ("YML-15", "cli/documents.rs", "yml_15_a_tag_that_would_make_something_is_refused"),
    ("YML-16", "cli/documents.rs", "yml_16_text_that_is_not_utf_8_is_refused"),
    ("YML-20", "cli/documents.rs", "yml_20_two_files_that_declare_one_resource_are_refused_with_both_places"),
    ("NAM-01", "cli/names.rs", "nam_01_two_dots_are_refused"),
    ("NAM-02", "cli/names.rs", "nam_02_one_dot_is_refused"),
    ("NAM-03", "cli/names.rs", "nam_03_an_empty_name_is_refused"),
    ("NAM-04", "cli/names.rs", "nam_04_a_slash_in_a_name_is_one_segment"),
    ("NAM-05", "cli/names.rs", "nam_05_what_is_encoded_already_is_encoded_again"),
    ("NAM-06", "cli/names.rs", "nam_06_what_is_encoded_twice_is_encoded_again"),
    ("NAM-07", "cli/names.rs", "nam_07_a_question_mark_begins_no_query"),
    ("NAM-08", "cli/names.rs", "nam_08_a_hash_begins_no_fragment"),
    ("NAM-09", "cli/names.rs", "nam_09_a_semicolon_is_part_of_the_name"),
    ("NAM-10", "cli/names.rs", "nam_10_a_line_end_begins_no_header"),
    ("NAM-11", "cli/names.rs", "nam_11_signs_that_look_like_a_slash_or_a_dot_are_letters"),
    ("NAM-12", "cli/names.rs", "nam_12_a_name_of_ten_kibibytes_is_refused_in_few_words"),
    ("NAM-13", "cli/names.rs", "nam_13_a_backslash_is_part_of_the_name"),
    ("NAM-14", "cli/names.rs", "nam_14_names_that_a_described_form_makes_one_are_refused_before_anything_is_asked"),
    ("RSP-01", "cli/hostile.rs", "rsp_01_an_empty_list_is_drift_and_no_reason_to_delete"),
    ("RSP-02", "cli/hostile.rs", "rsp_02_a_login_page_with_200_is_no_list"),
    ("RSP-03", "cli/hostile.rs", "rsp_03_an_error_with_200_is_no_list"),
    ("RSP-04", "cli/hostile.rs", "rsp_04_no_content_is_no_list"),
    ("RSP-05", "cli/hostile.rs", "rsp_05_a_list_that_is_missing_or_null_is_no_list"),
    ("RSP-06", "cli/hostile.rs", "rsp_06_a_list_that_was_cut_short_is_no_list"),
    ("RSP-07", "cli/hostile.rs", "rsp_07_a_chunked_answer_that_ends_early_is_no_answer"),
    ("RSP-08", "cli/hostile.rs", "rsp_08_a_length_that_is_wrong_is_no_answer"),
    ("RSP-09", "cli/hostile.rs", "rsp_09_a_second_page_that_fails_makes_the_whole_list_unknown"),
    ("RSP-14", "cli/hostile.rs", "rsp_14_a_410_where_no_page_was_read_is_an_error"),
    ("RSP-15", "cli/hostile.rs", "rsp_15_a_child_of_another_parent_makes_the_list_unknown"),
    ("RSP-16", "cli/hostile.rs", "rsp_16_two_objects_of_one_key_are_no_list"),
    ("RSP-17", "cli/hostile.rs", "rsp_17_without_a_strong_etag_nothing_is_written"),
    ("RSP-18", "cli/hostile.rs", "rsp_18_a_gzip_bomb_is_stopped_while_it_is_small"),
    ("RSP-23", "cli/hostile.rs", "rsp_23_numbers_beyond_2_to_the_53_are_compared_exactly"),
    ("RSP-24", "cli/trust.rs", "rsp_24_a_redirect_is_never_followed_and_no_credential_is_sent_again"),
    ("RSP-25", "cli/hostile.rs", "rsp_25_a_wait_that_is_absurd_neither_holds_the_run_for_hours_nor_makes_it_ask_without_a_pause"),
    ("RSP-26", "cli/secrets.rs", "rsp_26_an_error_that_echoes_a_secret_in_the_servers_own_spelling_does_not_show_it"),
    ("TRM-01", "cli/terminal.rs", "trm_01_to_10_in_manifests_reach_no_output_as_commands"),
    ("TRM-02", "cli/terminal.rs", "trm_01_to_10_in_manifests_reach_no_output_as_commands"),
    ("TRM-03", "cli/terminal.rs", "trm_01_to_10_in_manifests_reach_no_output_as_commands"),
    ("TRM-04", "cli/terminal.rs", "trm_01_to_10_in_manifests_reach_no_output_as_commands"),
    ("TRM-05", "cli/terminal.rs", "trm_01_to_10_in_manifests_reach_no_output_as_commands"),
    ("TRM-06", "cli/terminal.rs", "trm_01_to_10_in_manifests_reach_no_output_as_commands"),
    ("TRM-07", "cli/terminal.rs", "trm_01_to_10_in_manifests_reach_no_output_as_commands"),
    ("TRM-08", "cli/terminal.rs", "trm_01_to_10_in_manifests_reach_no_output_as_commands"),
    ("TRM-09", "cli/terminal.rs", "trm_01_to_10_in_manifests_reach_no_output_as_commands"),
    ("TRM-10", "cli/terminal.rs", "trm_01_to_10_in_manifests_reach_no_output_as_commands"),
    ("SEC-01", "cli/secrets.rs", "sec_01_a_secret_in_every_kind_of_field_is_planned_by_its_name"),
    ("SEC-02", "cli/secrets.rs", "sec_02_a_secret_that_the_server_copies_into_another_field_is_hidden_there_too"),
    ("SEC-03", "cli/secrets.rs", "sec_03_a_url_with_a_password_is_refused_and_not_shown"),
    ("SEC-04", "cli/secrets.rs", "sec_04_a_secret_that_a_server_echoes_in_a_header_is_hidden"),
    ("SEC-05", "cli/secrets.rs", "sec_05_a_credential_that_fits_no_header_is_an_error_that_does_not_show_it"),
    ("SEC-06", "cli/secrets.rs", "sec_06_the_lines_of_a_key_are_hidden_in_every_hunk_of_a_diff"),
];

#[test]
fn every_case_that_is_demanded_has_a_test() {
    let name = |group: &str, number: &u8| format!("{group}-{number:02}");
    let demanded: BTreeSet<String> =
        DEMANDED.iter().flat_map(|(group, numbers)| numbers.iter().map(move |number| name(group, number))).collect();
    let shown: BTreeSet<String> = CASES.iter().map(|(case, ..)| (*case).to_owned()).collect();
    assert_eq!(demanded, shown);
}

#[test]
fn every_test_that_is_named_is_there_and_runs() {
    for (case, file, test) in CASES {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let (before, _) = text.split_once(&format!("fn {test}()")).unwrap_or_else(|| panic!("{case}: no {test}"));
        // Between the item before and the test's own line.
        let attributes = &before[before.rfind("}\n").map_or(0, |at| at + 2)..];
        assert!(attributes.contains("#[test]"), "{case}: {test} is no test");
        assert!(!attributes.contains("ignore") && !attributes.contains("cfg"), "{case}: {test} does not always run");
    }
}

#[test]
fn every_case_has_its_words_and_all_words_are_compared() {
    let sources: String = ["documents", "hostile", "input", "names", "secrets", "terminal", "trust"]
        .map(|file| fs::read_to_string(root().join(format!("cli/{file}.rs"))).unwrap())
        .concat();
    let mut told = BTreeSet::new();
    for entry in fs::read_dir(root().join("fixtures/cases")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("$ ctl ") && text.contains("\nexit "), "{name}: {text}");
        let case = name.get(..6).unwrap().to_owned();
        assert!(sources.contains(&format!("\"{case}")), "{name}: no test compares it");
        told.insert(case);
    }
    for (case, ..) in CASES {
        assert!(told.contains(*case), "{case}: nothing in fixtures/cases");
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests"))
}
