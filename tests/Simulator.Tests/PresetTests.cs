using System.IO;
using System.Linq;
using Shouldly;
using Xunit;

namespace Quietus.Simulator.Tests;

/// <summary>Presets: those that come along are whole, and what is wrong with one is said by line.</summary>
public class PresetTests
{
    private static readonly string _text = File.ReadAllText(Path.Combine(Machines.Folder, "d05.json"));

    [Fact]
    public void Every_preset_of_the_repository_can_be_loaded_and_says_where_its_figures_come_from()
    {
        string[] names = [.. MachinePreset.Names(Machines.Folder)];

        names.ShouldBe(["d05", "emag", "kunpeng920", "modern", "rpi4"]);
        foreach (MachinePreset preset in names.Select(Machines.Named))
        {
            foreach (Figure figure in preset.Figures)
            {
                figure.Source.ShouldNotBeNullOrWhiteSpace();
                figure.Value.ShouldBeInRange(figure.Low, figure.High);
                (figure.IsAssumption && figure.Low == figure.High && figure.Unit != FigureUnit.Flag).ShouldBeFalse();
            }
        }
    }

    [Fact]
    public void A_preset_may_leave_out_what_ends_cost_and_then_they_cost_nothing()
    {
        MachinePreset without = MachinePreset.Parse("d05.json", _text);
        without["vm_end"].ShouldBe(0);
        without["process_end"].ShouldBe(0);

        MachinePreset with = MachinePreset.Parse(
            "d05.json",
            _text.Replace(
                "\"costs\": {",
                """
                "costs": {"vm_end": {"value": 50, "unit": "ms", "source": "a test"},
                """));
        with["vm_end"].ShouldBe(50e6);
        with.With("process_end=2ms")["process_end"].ShouldBe(2e6);
    }

    [Theory]
    [InlineData("\"entry_read\"", "\"entry_raed\"", 19, "unknown figure 'entry_raed'. Did you mean entry_read?")]
    [InlineData("\"unit\": \"GB\"", "\"unit\": \"GiG\"", 8, "'GiG' is no unit for memory")]
    [InlineData("\"pes\": {\"value\": 64", "\"pes\": {\"value\": 63", 6, "63 PEs do not divide into 2 sockets")]
    [InlineData("\"pes_per_cluster\": {\"value\": 4", "\"pes_per_cluster\": {\"value\": 5", 7, "clusters of 5")]
    [InlineData("\"sockets\": {\"value\": 2", "\"sockets\": {\"value\": 0", 5, "sockets is 0")]
    [InlineData("\"value\": 1024", "\"value\": \"1024\"", 8, "no number")]
    [InlineData("\"value\": 1024", "\"value\": 4096", 8, "outside its range")]
    [InlineData("\"range\": [64, 1024]", "\"limits\": 1", 8, "unknown key 'limits'")]
    [InlineData(", \"range\": [64, 1024]", "", 8, "assumed without a range")]
    [InlineData("\"topology\"", "\"topologie\"", 4, "unknown key 'topologie'")]
    [InlineData("quietus.machine/1", "quietus.machine/9", 2, "the schema is")]
    [InlineData("\"name\": \"d05\"", "\"name\": \"d06\"", 3, "the name is 'd06'")]
    [InlineData("\"title\"", "title", 4, "no JSON")]
    public void What_is_wrong_is_named_with_its_line(string right, string wrong, int near, string message)
    {
        _text.ShouldContain(right);

        PresetException error = Should.Throw<PresetException>(
            () => MachinePreset.Parse("d05.json", _text.Replace(right, wrong)));

        error.Message.ShouldContain(message);
        error.File.ShouldBe("d05.json");
        error.Line.ShouldBeInRange(near - 1, near + 2);
        error.Remedy.ShouldNotBeEmpty();
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("{\"topology\": {\"sockets\": 2}}")]
    [InlineData("{\"topology\": {\"sockets\": {\"value\": 1e999, \"unit\": \"count\", \"source\": \"x\"}}}")]
    [InlineData("{\"topology\": {\"sockets\": {\"value\": -1, \"unit\": \"count\", \"source\": \"x\"}}}")]
    public void Documents_that_are_no_preset_are_refused(string text) =>
        Should.Throw<PresetException>(() => MachinePreset.Parse("x.json", text)).File.ShouldBe("x.json");

    [Fact]
    public void Any_cut_of_a_preset_is_refused_and_never_breaks_the_reader()
    {
        for (int length = 0; length < _text.TrimEnd().Length; length += 7)
        {
            Should.Throw<PresetException>(() => MachinePreset.Parse("d05.json", _text[..length]));
        }
    }

    [Theory]
    [InlineData("dc_line_local=2us", "dc_line_remote", "another socket")]
    [InlineData("nonsense=1", "", "no figure 'nonsense'")]
    [InlineData("dc_line_locl=1ns", "dc_line_local", "Did you mean")]
    [InlineData("dc_line_local=8", "time", "no value")]
    [InlineData("dc_line_local=-8ns", "time", "no value")]
    [InlineData("dc_line_local", "", "not key=value")]
    [InlineData("sockets=3", "", "do not divide")]
    [InlineData("sockets=1.5", "whole", "no value")]
    [InlineData("range_tlbi=yes", "true or false", "no value")]
    [InlineData("line=48", "", "48 bytes")]
    [InlineData("memory=1X", "size", "no value")]
    [InlineData("memory=4097M", "", "does not divide into 2 sockets")]
    [InlineData("memory=64T", "", "lies between")]
    [InlineData("dc_line_remote=1ms", "", "lies between")]
    public void Changes_that_make_no_sense_are_refused(string change, string remedy, string problem)
    {
        PresetException error = Should.Throw<PresetException>(() => Machines.Named("d05").With(change));

        error.Message.ShouldContain(problem);
        error.Message.ShouldContain(remedy);
    }

    [Fact]
    public void A_change_changes_one_figure_and_nothing_of_the_first_preset()
    {
        MachinePreset d05 = Machines.Named("d05");

        MachinePreset changed = d05.With("tlbi_wait=1.5us").With("memory=512G").With("range_tlbi=true");

        changed["tlbi_wait"].ShouldBe(1500);
        changed.MemoryBytes.ShouldBe(512 * Machines.Gigabyte);
        changed.HasRangeInvalidation.ShouldBeTrue();
        changed.Find("tlbi_wait")!.Source.ShouldBe("--set");
        d05["tlbi_wait"].ShouldBe(400);
    }

    [Fact]
    public void A_machine_that_is_not_there_is_named_with_those_that_are() =>
        Should.Throw<PresetException>(() => Machines.Named("d06")).Message.ShouldContain("d05, emag");
}
