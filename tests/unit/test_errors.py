from coverslip.errors import first_names, join_names


def test_a_message_names_a_few_and_counts_the_others():
    assert first_names("ab") == "a, b"
    assert first_names("abc") == "a, b, c"
    assert first_names("abcde") == "a, b, c and 2 more"


def test_all_names_are_joined_in_words():
    assert join_names(["a"]) == "a"
    assert join_names(["a", "b", "c"]) == "a, b and c"
