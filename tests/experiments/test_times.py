"""Tables as pandas and others write them: indices, dates of any format, missing values."""

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
    ("text", "sentence"),
    [
        ("t,a\n1,2\n,3\n", "line 3: the first column, the time, is empty."),
        ("a,b\n3.5,2\n1.5,3\n", "line 3: '1.5' does not come after '3.5'. The first column must"),
        ("t,a\n1,2\n2,low\n", "line 3: a is 'low', which is no number."),
        ("t,a\n1,2,3\n", "line 2: 3 field(s) where the first line names 2."),
        ("", "holds no table"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        read(tmp_path, text)
