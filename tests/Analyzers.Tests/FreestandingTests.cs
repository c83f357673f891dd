using System.Linq;
using System.Threading.Tasks;
using Shouldly;
using Xunit;

namespace Quietus.Analyzers.Tests;

/// <summary>QT0002: each thing that needs a runtime, beside what does the same without one.</summary>
public class FreestandingTests
{
    [Theory]
    [InlineData("try { } // bad\n finally { }")]
    [InlineData("throw null!; // bad")]
    [InlineData("int x = Number() > 0 ? 1 : throw null!; // bad")]
    [InlineData("lock (typeof(int)) { } // bad")]
    [InlineData("using var c = new Closable(); // bad")]
    [InlineData("using (var c = new Closable()) { } // bad")]
    [InlineData("object o = new Box(); // bad")]
    [InlineData("var point = new Point(1, 2);")]
    [InlineData("var o = new { A = 1 }; // bad")]
    [InlineData("int[] a = new int[4]; // bad")]
    [InlineData("Span<int> a = new int[4]; // bad")]
    [InlineData("int[] a = [1, 2]; // bad")]
    [InlineData("ReadOnlySpan<byte> a = new byte[] { 1, 2 };")]
    [InlineData("int n = 3; ReadOnlySpan<int> a = new int[] { n, 2 }; // bad")]
    [InlineData("ReadOnlySpan<byte> a = [1, 2];")]
    [InlineData("ReadOnlySpan<byte> a = \"text\"u8;")]
    [InlineData("Span<int> a = stackalloc int[4];")]
    [InlineData("Many(1, 2); // bad")]
    [InlineData("Func<int> f = () => 1; // bad")]
    [InlineData("Func<int> f = Number; // bad")]
    [InlineData("Func<int> f = delegate { return 1; }; // bad")]
    [InlineData("unsafe { delegate*<int> f = &Number; int n = f(); }")]
    [InlineData("string s = $\"{Number()}\"; // bad")]
    [InlineData("string s = \"a\" + Number(); // bad")]
    [InlineData("string s = \"a\" + \"b\";")]
    [InlineData("string s = \"a\"; s += \"b\"; // bad")]
    [InlineData("object o = 1; // bad")]
    [InlineData("ValueType v = new Point(1, 2); // bad")]
    [InlineData("long l = 1;")]
    [InlineData("int h = new Point(1, 2).GetHashCode(); // bad")]
    [InlineData("bool b = new Point(1, 2).Equals(new Point(1, 2));")]
    [InlineData("IShape s = default!; // bad")]
    [InlineData("foreach (byte b in \"text\"u8) { }")]
    [InlineData("foreach (int i in default(Boxed)) { } // bad")]
    [InlineData("foreach (int i in default(Closing)) { } // bad")]
    [InlineData("dynamic d = 1!; // bad")]
    public async Task In_a_method_only_what_needs_a_runtime_is_an_error(string body)
    {
        string source = Wrap($"static void Call() {{\n{body}\n}}");

        (await Found(source)).ShouldBe(Analysis.Marked(source, "QT0002"));
    }

    [Theory]
    [InlineData("static Sample() { } // bad")]
    [InlineData("~Sample() { } // bad")]
    [InlineData("public Sample() { }")]
    [InlineData("static readonly int _a = 1;")]
    [InlineData("const string A = \"a\";")]
    [InlineData("static readonly int _a = Number(); // bad")]
    [InlineData("static readonly Point _a = default;")]
    [InlineData("static readonly Point _a = new(1, 2); // bad")]
    [InlineData("static int A { get; } = Number(); // bad")]
    [InlineData("readonly int _a = Number();")]
    [InlineData("static ReadOnlySpan<byte> A => [1, 2];")]
    [InlineData("IShape _shape; // bad")]
    [InlineData("IShape Shape => default!; // bad")]
    [InlineData("static void F(IShape shape) { } // bad")]
    [InlineData("static IShape F() => default!; // bad")]
    [InlineData("static int F<T>(T shape) where T : struct, IShape => shape.Area() + T.Sides();")]
    [InlineData("static T F<T>() where T : struct => new T(); // bad")]
    [InlineData("static T F<T>() where T : struct => default;")]
    [InlineData("static int F<T>(T shape) where T : struct => shape.GetHashCode(); // bad")]
    [InlineData("static object F<T>(T shape) where T : struct => shape; // bad")]
    [InlineData("static async void F() { } // bad")]
    [InlineData("record struct R(int A); // bad")]
    [InlineData("record R(int A); // bad")]
    [InlineData("struct S(int a) { public int A => a; }")]
    public async Task In_a_type_only_what_needs_a_runtime_is_an_error(string member)
    {
        string source = Wrap(member);

        (await Found(source)).ShouldBe(Analysis.Marked(source, "QT0002"));
    }

    [Fact]
    public async Task An_iterator_is_an_error_for_each_of_its_objects()
    {
        string source = Wrap("static IEnumerable<int> F() { // bad\n yield return 1; // bad\n }");

        (await Found(source)).ShouldBe(Analysis.Marked(source, "QT0002"));
    }

    [Fact]
    public async Task A_call_through_an_interface_is_an_error_where_it_is_made()
    {
        string source = Wrap("static int F(IShape shape) => // bad\n shape.Area(); // bad");

        (await Found(source)).ShouldBe(Analysis.Marked(source, "QT0002"));
    }

    /// <summary>A line may break the rule in two ways (a constant of an interface type); it counts once.</summary>
    private static async Task<string[]> Found(string source) =>
        [.. (await Analysis.Of<FreestandingAnalyzer>(source)).Distinct()];

    private static string Wrap(string member) => $$"""
        using System;
        using System.Collections.Generic;
        interface IShape { int Area(); static abstract int Sides(); }
        sealed class Box;
        ref struct Closable { public void Dispose() { } }
        struct Point(int x, int y) { public bool Equals(Point other) => x == other.X; public int X => y; }
        struct Boxed { public Turns GetEnumerator() => null!; }
        class Turns { public int Current => 0; public bool MoveNext() => false; }
        struct Closing { public Steps GetEnumerator() => default; }
        struct Steps : IDisposable
        {
            public int Current => 0;
            public bool MoveNext() => false;
            public void Dispose() { }
        }

        class Sample
        {
            static int Number() => 1;
            static void Many(params int[] numbers) { }
        {{member}}
        }
        """;
}
