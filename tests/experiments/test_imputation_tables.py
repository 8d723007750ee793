"""Tables as they are found: separators, indices, dates of any format, missing values."""

import datetime
import re

import numpy as np
import pytest

from experiments.runner.data.reading import Reading
from experiments.time_series.impute.data import split_rows
from experiments.time_series.impute.table import read_table
from experiments.time_series.impute.times import find_order

DAYS = [datetime.datetime(2016, 12, 30, 22, 5) + k * datetime.timedelta(hours=25) for k in range(9)]
FORMATS = [
    *("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S+01:00", "%Y/%m/%d %H:%M"),
    *("%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %I:%M %p", "%d-%b-%Y %H:%M:%S", "%m/%d/%y"),
    *("%d %B %Y", "%b %d, %Y", "%d.%m.%y %H:%M", "%Y%m%d", "%m-%d-%Y", "%Y-%m-%dT%H:%M:%SZ"),
]


def read(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    reading = Reading()
    return read_table(path, reading), reading


@pytest.mark.parametrize("form", FORMATS)
def test_dates_of_any_format_are_in_their_order(tmp_path, form):
    times = [day.strftime(form) for day in DAYS]
    rows = [f'"{time}",{k}' for k, time in enumerate(times)]
    table, reading = read(tmp_path, "\n".join(["date,a", *rows]))
    assert table.times == tuple(times) and not reading.sentences()
    keys = [*map(table.order.key, times)]
    assert keys == sorted(keys)
    assert split_rows(table, times[4], times[6])["dev"] == slice(4, 6)
    rows[3], rows[4] = rows[4], rows[3]
    with pytest.raises(ValueError, match=r"line 6: .* does not come after .* oldest first"):
        read(tmp_path, "\n".join(["date,a", *rows]))


def test_parts_may_begin_at_a_date_in_iso_format(tmp_path):
    rows = [f"{day.strftime('%d.%m.%Y')},{k}" for k, day in enumerate(DAYS)]
    table, _ = read(tmp_path, "\n".join(["date,a", *rows]))
    assert split_rows(table, "2017-01-03", "2017-01-05")["train"] == slice(0, 3)
    with pytest.raises(ValueError, match=r"are dates such as 30.12.2016; 'May' is not one"):
        split_rows(table, "May", "")


def test_date_that_can_be_read_in_two_ways_is_told(tmp_path):
    table, reading = read(tmp_path, "day,a\n01/02/2016,1\n01/03/2016,2\n01/04/2016,3\n")
    (sentence,) = reading.sentences()
    assert sentence.endswith("dates are read as month/day/year.")
    assert table.order.key("01/03/2016") == datetime.datetime(2016, 1, 3)
    only = find_order(["01/02/2016", "01/03/2016", "02/03/2016", "13/03/2016"])
    assert only.key("01/03/2016") == datetime.datetime(2016, 3, 1) and not only.doubt


def test_zones_count_in_the_order():
    order = find_order(["2016-10-30 02:30:00+02:00", "2016-10-30 02:00:00+01:00"])
    assert order.key("2016-10-30 02:30:00+02:00") < order.key("2016-10-30 02:00:00+01:00")


def test_table_has_what_pandas_writes_for_missing_values(tmp_path):
    pandas = ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"]
    pandas += ["1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
    others = ["-", "--", ".", "?", " NaN ", "NaT", "missing"]
    rows = [f"{k},{word},{k}.5" for k, word in enumerate(pandas + others)]
    table, _ = read(tmp_path, "\n".join([",a,b", *rows, "99,1e-3,-2"]))
    assert np.isnan(table.values[:-1, 0]).all() and not np.isnan(table.values[:, 1]).any()
    assert table.values[-1].tolist() == [0.001, -2] and table.time_name == ""
    assert table.order.kind == "numbers"  # 9 comes before 10


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("time,é,b\n9,1.5,\n10,2,3e1\n", ""),
        ("time;é;b\n9;1,5; null\n10;2,0;3,0E1\n", "by semicolons. numbers have decimal commas"),
        ("time\té\tb\n9\t1.5\t?\n10\t2\t30\n", "separated by tabs"),
        ("\ntime;é;b\n9;1.5;\n10;2;30\n", "by semicolons. an empty line"),
        ("time,é,b\n\n9,1.5,N/A\n , ,\n10,2,30\n\n", "an empty line, 2 times (lines 2, 4)"),
    ],
    ids=["commas", "semicolons", "tabs", "blank before", "blank"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_tables_are_read_as_they_are_found_and_that_is_told(tmp_path, text, told, encoding):
    path, reading = tmp_path / "a.csv", Reading(encoding)
    path.write_bytes(text.encode(encoding))
    table = read_table(path, reading)
    assert (table.names, table.times) == (("é", "b"), ("9", "10"))
    np.testing.assert_array_equal(table.values, [[1.5, np.nan], [2, 30]])
    sentences = " ".join(one for one in reading.sentences() if "UTF-16" not in one)
    assert all(part in sentences for part in told.split(". ")) and bool(told) == bool(sentences)
    if "empty" in told:
        with pytest.raises(ValueError, match=r"line \d: an empty line; --strict refuses that"):
            read_table(path, Reading(encoding, strict=True))


@pytest.mark.parametrize("row", ["9;1,5;2,25", "9;1.5;2.25", "9;1,5;2.25"])
def test_names_with_commas_do_not_separate_columns(tmp_path, row):
    table, _ = read(tmp_path, f"time;CO, mg/m3;T\n{row}\n")
    assert table.names == ("CO, mg/m3", "T") and table.values.tolist() == [[1.5, 2.25]]
    table, _ = read(tmp_path, '"time; zone",a\n"9; CET",1.5\n"9; GMT",2\n')  # quoted
    assert (table.names, table.values.tolist()) == (("a",), [[1.5], [2]])


@pytest.mark.parametrize(
    ("times", "kind"),
    [
        (["9e-06", "1e-05", ".5", "1.5E1"], "numbers"),
        (["8:30", "9:00", "10:15"], "times such as 8:30"),
        (["-1 days +23:00:00", "0 days 09:00:00", "2 days 03:00:00.5", "10 days 00:00:00"],
         "times such as -1 days +23:00:00"),
    ],
)  # fmt: skip
def test_exponents_times_of_day_and_durations_are_in_their_order(tmp_path, times, kind):
    table, _ = read(tmp_path, "\n".join(["time,a", *(f"{time},1" for time in times)]))
    assert table.times == tuple(times) and table.order.kind == kind


def test_times_that_are_numbers_are_compared_as_numbers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("time,a\n" + "".join(f"{i},1\n" for i in range(8, 13)))
    rows = split_rows(read_table(path, Reading()), "10", "12.0")
    assert [(part.start, part.stop) for part in rows.values()] == [(0, 2), (2, 4), (4, 5)]
    with pytest.raises(ValueError, match="times of the table are numbers; 'noon' is not one"):
        split_rows(read_table(path, Reading()), "noon", "12")
    path.write_text("time,a\n8,1\n10,1\n\n9,1\n")
    with pytest.raises(ValueError, match="line 5: '9' does not come after '10'"):
        read_table(path, Reading())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no table"),
        ("time\n1\n2", "holds no table"),
        ("t,a\n1,2,3\n", "line 2: 3 field(s) where the first line names 2."),
        ("t,a,b\n1,2\n", "line 2: 2 field(s) where the first line names 3."),
        ("t,a\n1,2\n2,low\n", "line 3: a is 'low', which is no number."),
        ("t,a\n1,2\n,3\n", "line 3: the first column, the time, is empty."),
        ("time,a\nt1,1\rt2,2\n", "line 2: new-line character seen in unquoted field"),
        ('t,a\n1,2\n2,"1,5"\n', "'1,5', which is no number. Decimal commas need columns"),
        ("time,a\nt2,1\nt1,2\n", "line 3: 't1' does not come after 't2'"),
        ("day,a\n31Dec2019,1\n01Jan2020,2\n", "compared as texts: write numbers, or dates such"),
        ("time,a\nt1,1\nt1,2\n", "line 3: 't1' does not come after 't1'"),
        ("a,b\n3.5,2\n1.5,3\n", "line 3: '1.5' does not come after '3.5'. The first column must"),
        ("time,a,b\nt1,1,\nt2,2,nan\n", "b has no observed value"),
    ],
)
def test_what_is_no_table_is_refused_by_file_and_line(tmp_path, text, sentence):
    path = tmp_path / "table.csv"
    path.write_text(text, newline="")
    with pytest.raises(ValueError, match=re.escape(sentence)) as error:
        read_table(path, Reading())
    assert str(path) in str(error.value)
