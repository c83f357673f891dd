using System.IO;
using System.Linq;
using System.Threading;
using Shouldly;
using Xunit;

namespace Quietus.Traces.Tests;

/// <summary>One snippet for each form, version and trap: what has to be read stands in it.</summary>
public class SnippetTests
{
    public static TheoryData<string> Snippets => [.. Snippet.Names];

    [Theory]
    [MemberData(nameof(Snippets))]
    public void It_says_what_stands_on_its_head(string name)
    {
        var snippet = Snippet.Read(name);
        if (snippet.Vms is { } vms)
        {
            using var stream = new MemoryStream(snippet.Bytes);
            string.Join(' ', TraceReader.List(stream, CancellationToken.None).Select(vm => vm.Process)).ShouldBe(vms);
        }

        if (snippet.Error is { } part)
        {
            TraceException error = Should.Throw<TraceException>(() => snippet.Read());
            error.Message.ShouldContain(part);
            error.NextStep.ShouldNotBeNullOrWhiteSpace();
            return;
        }

        HostTrace trace = snippet.Read();
        Snippet.Describe(trace).ShouldBe(snippet.Expected());
    }

    /// <summary>An empty list would say nothing of what is missing.</summary>
    [Fact]
    public void A_list_of_no_VM_is_an_error_that_says_what_is_missing()
    {
        using var stream = new MemoryStream(Snippet.Read("perf-script-without-guest").Bytes);
        TraceException error = Should.Throw<TraceException>(() => TraceReader.List(stream, CancellationToken.None));
        error.Message.ShouldContain("4 ends of a VM or a process are in it, and no map: perf script leaves out");
        error.NextStep.ShouldContain("--guestkallsyms=/proc/kallsyms");
    }

    [Fact]
    public void There_are_as_many_as_forms_and_traps() => Snippet.Names.Count().ShouldBeGreaterThanOrEqualTo(80);

    /// <summary>The same life in each form has the same length, to the unit that the form has.</summary>
    [Theory]
    [InlineData("ftrace-6.1-five-flags")]
    [InlineData("ftrace-latency-format")]
    [InlineData("ftrace-verbose")]
    [InlineData("ftrace-clock-boot")]
    [InlineData("trace-cmd-2.6")]
    [InlineData("trace-cmd-3.1-nanoseconds")]
    [InlineData("trace-cmd-latency")]
    [InlineData("perf-script")]
    [InlineData("perf-script-nanoseconds")]
    [InlineData("perf-trace")]
    [InlineData("perf-trace-4.19")]
    public void Times_are_the_same_in_every_form(string name) =>
        Snippet.Read(name).Read().UnmapNanoseconds.ShouldBe(4000);
}
