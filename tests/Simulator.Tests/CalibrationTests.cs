using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Shouldly;
using Xunit;

namespace Quietus.Simulator.Tests;

/// <summary>The table of docs/calibration.md is what the code gives, and the fits are fits.</summary>
public class CalibrationTests
{
    private static readonly Lazy<IReadOnlyList<CalibrationRow>> _rows = new(() => Calibration.Run(Machines.Folder));

    [Fact]
    public void The_document_has_the_table_that_the_code_gives_now()
    {
        string document = File.ReadAllText(Path.Combine(Machines.Root, "docs", "calibration.md"));

        document.ShouldContain(
            Calibration.ToMarkdown(_rows.Value),
            customMessage: "Put the output of './quietus sim --calibration' into docs/calibration.md.");
    }

    [Fact]
    public void What_was_fitted_fits()
    {
        foreach (CalibrationRow row in _rows.Value.Where(row => row.Kind == CalibrationKind.CalibratedOn))
        {
            Math.Abs(row.ErrorPercent).ShouldBeLessThan(10, row.Quantity);
        }
    }

    [Fact]
    public void There_are_rows_of_every_kind_and_each_says_where_it_comes_from()
    {
        foreach (CalibrationKind kind in Enum.GetValues<CalibrationKind>())
        {
            _rows.Value.Count(row => row.Kind == kind).ShouldBeGreaterThan(5);
        }

        _rows.Value.ShouldAllBe(row => row.Source.Length > 0 && row.Note.Length > 0);
    }
}
