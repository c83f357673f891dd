using System.Threading.Tasks;
using Shouldly;
using Xunit;

namespace Quietus.Analyzers.Tests;

/// <summary>QT0001: each way to drop a debt or a result, beside the same code that does not.</summary>
public class MustSettleTests
{
    private const string Declarations = """
        using System;
        [AttributeUsage(AttributeTargets.Struct)]
        class MustSettleAttribute : Attribute;
        [MustSettle]
        struct Debt { public int Pages; public Debt Add(Debt other) => other; }
        enum MapResult { Done, OutOfTables }
        static class Engine
        {
            public static Debt Unmap() => default;
            public static MapResult Map() => default;
            public static bool TryMap(out MapResult result) { result = default; return true; }
            public static bool TryUnmap(out Debt debt) { debt = default; return true; }
            public static (int Pages, Debt Debt) Replace() => default;
            public static void Settle(in Debt debt) { }
        }

        """;

    [Theory]
    [InlineData("Engine.Unmap(); // bad")]
    [InlineData("Engine.Map(); // bad")]
    [InlineData("_ = Engine.Unmap(); // bad")]
    [InlineData("_ = Engine.Map(); // bad")]
    [InlineData("MapResult result = Engine.Map(); // bad")]
    [InlineData("MapResult result = Engine.Map(); if (result == MapResult.Done) return;")]
    [InlineData("if (Engine.Map() != MapResult.Done) return;")]
    [InlineData("Engine.TryMap(out _); // bad")]
    [InlineData("Debt debt = Engine.Unmap(); // bad")]
    [InlineData("Debt debt = Engine.Unmap(); Engine.Settle(debt);")]
    [InlineData("Debt debt = Engine.Unmap(); // bad\n if (debt.Pages == 0) return;")]
    [InlineData("Debt debt = Engine.Unmap(); if (debt.Pages != 0) Engine.Settle(debt);")]
    [InlineData("Debt debt; // bad\n debt = Engine.Unmap();")]
    [InlineData("var debt = default(Debt); debt = Engine.Unmap(); Engine.Settle(in debt);")]
    [InlineData("Engine.TryUnmap(out _); // bad")]
    [InlineData("Engine.TryUnmap(out Debt debt); // bad")]
    [InlineData("if (Engine.TryUnmap(out Debt debt)) Engine.Settle(debt);")]
    [InlineData("Engine.Replace(); // bad")]
    [InlineData("var (result, _) = Engine.Replace(); // bad")]
    [InlineData("var (_, debt) = Engine.Replace(); // bad")]
    [InlineData("var (_, debt) = Engine.Replace(); Engine.Settle(debt);")]
    [InlineData("Engine.Unmap().Add(Engine.Unmap()); // bad")]
    [InlineData("Engine.Settle(Engine.Unmap().Add(Engine.Unmap()));")]
    [InlineData("Engine.Settle(Engine.Unmap());")]
    public async Task A_debt_that_is_dropped_is_an_error_and_one_that_is_used_is_not(string body)
    {
        string source = $"{Declarations}static class Caller {{ static void Call() {{\n{body}\n}} }}";

        (await Analysis.Of<MustSettleAnalyzer>(source)).ShouldBe(Analysis.Marked(source, "QT0001"));
    }

    [Fact]
    public async Task A_debt_that_is_returned_to_the_caller_is_no_error() =>
        (await Analysis.Of<MustSettleAnalyzer>(
            Declarations + "static class Caller { static Debt Call() { Debt debt = Engine.Unmap(); return debt; } }"))
        .ShouldBeEmpty();

    [Fact]
    public async Task A_debt_that_only_a_local_function_reads_is_no_error() =>
        (await Analysis.Of<MustSettleAnalyzer>(
            Declarations + "static class Caller { static void Call() { Debt d = Engine.Unmap(); F(); "
                + "void F() => Engine.Settle(d); } }"))
        .ShouldBeEmpty();
}
