using System;
using System.Text;
using Quietus.Hypervisor.Monitor;
using Quietus.Wire;
using Shouldly;
using Xunit;

namespace Quietus.Hypervisor.Tests.Monitor;

public class CommandLineTests
{
    [Fact]
    public void A_command_with_bare_and_quoted_values_is_taken_apart()
    {
        byte[] line = "create guest=linux memory=64M append=\"a=\\\"b c\\\" d\\\\e\"\r"u8.ToArray();
        CommandLine.Parse(line, out CommandLine command).ShouldBe(CommandLineError.None);
        Text(command.Verb).ShouldBe("create");
        command.VerbIs("create"u8).ShouldBeTrue();
        command.VerbIs("creat"u8).ShouldBeFalse();
        command.Count.ShouldBe(3);
        Value(command, "guest").ShouldBe("linux");
        Value(command, "memory").ShouldBe("64M");
        Value(command, "append").ShouldBe("a=\"b c\" d\\e");
        command.TryGet("cpus"u8, out _).ShouldBeFalse();
        Text(command.KeyAt(1)).ShouldBe("memory");
        command.KeyAt(3).Length.ShouldBe(0);
        command.ValueAt(-1).Length.ShouldBe(0);
    }

    [Theory]
    [InlineData("kill vm=1", "vm", null)]
    [InlineData("kill", "", null)]
    [InlineData("unmap fate=a vm=1", "vm fate", null)]
    [InlineData("unmap vm=1 fait=a", "vm fate", "fait")]
    [InlineData("kill v=1", "vm", "v")]
    [InlineData("kill vmm=1", "vm", "vmm")]
    [InlineData("version a=1 b=2", "", "a")]
    public void A_key_that_is_not_among_the_known_ones_is_found(string line, string known, string? other)
    {
        CommandLine.Parse(Encoding.UTF8.GetBytes(line), out CommandLine command).ShouldBe(CommandLineError.None);
        command.TryFindOther(Encoding.UTF8.GetBytes(known), out ReadOnlySpan<byte> key).ShouldBe(other is not null);
        Text(key).ShouldBe(other ?? "");
    }

    [Theory]
    [InlineData("", CommandLineError.Empty)]
    [InlineData("   ", CommandLineError.Empty)]
    [InlineData("Create", CommandLineError.BadVerb)]
    [InlineData("a=b", CommandLineError.BadVerb)]
    [InlineData("\u0001", CommandLineError.BadVerb)]
    [InlineData("v x", CommandLineError.BadKey)]
    [InlineData("v =x", CommandLineError.BadKey)]
    [InlineData("v k\u0002=x", CommandLineError.BadCharacter)]
    [InlineData("v k=\tx", CommandLineError.BadCharacter)]
    [InlineData("v k=\u00e9", CommandLineError.BadCharacter)]
    [InlineData("v k=", CommandLineError.MissingValue)]
    [InlineData("v k= j=1", CommandLineError.MissingValue)]
    [InlineData("v k=a\"b", CommandLineError.StrayQuote)]
    [InlineData("v k=\"a\"b", CommandLineError.StrayQuote)]
    [InlineData("v k=\"a", CommandLineError.UnterminatedQuote)]
    [InlineData("v k=\"a\\", CommandLineError.UnterminatedQuote)]
    [InlineData("v k=\"a\\n\"", CommandLineError.BadEscape)]
    [InlineData("v k=\"a\nb\"", CommandLineError.BadCharacter)]
    [InlineData("v k=1 k=2", CommandLineError.DuplicateKey)]
    public void A_malformed_line_is_an_error_that_says_why(string line, CommandLineError expected)
    {
        CommandLine.Parse(Encoding.UTF8.GetBytes(line), out CommandLine command).ShouldBe(expected);
        command.Count.ShouldBe(0);
        CommandLine.Describe(expected).Length.ShouldBeGreaterThan(5);
    }

    [Fact]
    public void Spaces_around_arguments_and_text_outside_ascii_in_quotes_are_allowed()
    {
        CommandLine.Parse("  list   k=\"gr\u00fcn\" e=\"\"  "u8.ToArray(), out CommandLine command)
            .ShouldBe(CommandLineError.None);
        Text(command.Verb).ShouldBe("list");
        Value(command, "k").ShouldBe("gr\u00fcn");
        Value(command, "e").ShouldBe(string.Empty);
    }

    [Fact]
    public void Sixteen_arguments_fit_and_a_seventeenth_is_refused()
    {
        var text = new StringBuilder("v");
        for (int i = 0; i < CommandLine.MaximumArguments; i++)
        {
            text.Append(" k").Append(i).Append('=').Append(i * 3);
        }

        CommandLine.Parse(Encoding.ASCII.GetBytes(text.ToString()), out CommandLine command)
            .ShouldBe(CommandLineError.None);
        Value(command, "k15").ShouldBe("45");
        text.Append(" more=1");
        CommandLine.Parse(Encoding.ASCII.GetBytes(text.ToString()), out _).ShouldBe(CommandLineError.TooManyArguments);
    }

    [Fact]
    public void A_line_of_1024_bytes_fits_and_one_more_is_too_long()
    {
        byte[] longest = Encoding.ASCII.GetBytes("v k=" + new string('x', 1020));
        CommandLine.Parse(longest, out CommandLine command).ShouldBe(CommandLineError.None);
        command.ValueAt(0).Length.ShouldBe(1020);
        CommandLine.Parse(new byte[1025], out _).ShouldBe(CommandLineError.TooLong);
    }

    [Fact]
    public void Arbitrary_bytes_never_throw_and_accepted_values_round_trip()
    {
        var random = new Random(1);
        byte[] alphabet = Encoding.ASCII.GetBytes("ab=\"\\ \n\0\u007f-0k");
        int accepted = 0;
        for (int round = 0; round < 100_000; round++)
        {
            byte[] line = new byte[random.Next(0, 40)];
            for (int i = 0; i < line.Length; i++)
            {
                line[i] = alphabet[random.Next(alphabet.Length)];
            }

            if (CommandLine.Parse(line, out CommandLine command) != CommandLineError.None)
            {
                continue;
            }

            accepted++;
            byte[] again = new byte[2048];
            var builder = new LineBuilder(again);
            builder.Text(command.Verb);
            for (int i = 0; i < command.Count; i++)
            {
                builder.QuotedField(command.KeyAt(i), command.ValueAt(i));
            }

            CommandLine.Parse(again.AsSpan(0, builder.Length), out CommandLine second).ShouldBe(CommandLineError.None);
            second.Count.ShouldBe(command.Count);
            for (int i = 0; i < command.Count; i++)
            {
                Text(second.KeyAt(i)).ShouldBe(Text(command.KeyAt(i)));
                Text(second.ValueAt(i)).ShouldBe(Text(command.ValueAt(i)));
            }
        }

        accepted.ShouldBeGreaterThan(100);
    }

    private static string Value(CommandLine command, string key)
    {
        command.TryGet(Encoding.UTF8.GetBytes(key), out ReadOnlySpan<byte> value).ShouldBeTrue();
        return Text(value);
    }

    private static string Text(ReadOnlySpan<byte> bytes) => Encoding.UTF8.GetString(bytes);
}
