using System.Reflection;
using System.Runtime.ExceptionServices;
using System.Runtime.Loader;
using C10kServer.Engine.Handlers;

namespace C10kServer.Faults.Tests;

/// <summary>
/// What the engine does once a process, at its first start, fails: in a copy of the engine that no test has started yet. The copy's
/// types are other types than those that this assembly is compiled against.
/// </summary>
public class FirstStartTests
{
    [Theory]
    [InlineData("epoll_create1", Error.ENOMEM)]
    [InlineData("eventfd", Error.EMFILE)]
    [InlineData("epoll_ctl", Error.ENOSPC)]
    [InlineData("epoll_wait", Error.EINVAL)]
    public void A_first_start_that_fails_does_not_keep_the_next_one_from_succeeding(string call, Error error)
    {
        Shim.Require();
        Shim.Forget();
        object server = MakeServerOfAFreshEngine();
        using (Shim.Arm(call, (int)error, Schedule.Nth(1)))
        {
            var thrown = Assert.ThrowsAny<Exception>(() => Invoke(server, nameof(Server.Start)));
            Assert.Equal(nameof(ServerStartException), thrown.GetType().Name);
            Shim.AssertNothingLeft();
            Invoke(server, nameof(Server.Start));
        }

        Invoke(server, nameof(Server.Stop), false);
        Shim.AssertNothingLeft();
    }

    [Fact]
    public void A_first_start_that_is_interrupted_goes_on()
    {
        Shim.Require();
        Shim.Forget();
        object server = MakeServerOfAFreshEngine();
        using Shim.Armed armed = Shim.Arm("epoll_wait", (int)Error.EINTR, Schedule.Nth(1));
        Invoke(server, nameof(Server.Start));
        Invoke(server, nameof(Server.Stop), false);
        Assert.Equal(1, armed.Injected);
        Shim.AssertNothingLeft();
    }

    private static object MakeServerOfAFreshEngine()
    {
        Assembly engine = new AssemblyLoadContext("fresh").LoadFromAssemblyPath(typeof(Server).Assembly.Location);
        Shim.Redirect(engine);
        Type optionsType = engine.GetType(typeof(ServerOptions).FullName!, throwOnError: true)!;
        object options = Activator.CreateInstance(optionsType)!;
        object echo = engine.GetType(typeof(BuiltInHandlers).FullName!, throwOnError: true)!
            .GetProperty(nameof(BuiltInHandlers.Echo))!.GetValue(null)!;
        optionsType.GetProperty(nameof(ServerOptions.HandlerFactory))!.SetValue(options, echo);
        return Activator.CreateInstance(engine.GetType(typeof(Server).FullName!, throwOnError: true)!, options, null)!;
    }

    private static void Invoke(object server, string method, params object[] arguments)
    {
        try
        {
            // The overload that needs the fewest further arguments, which are optional.
            MethodInfo best = server.GetType().GetMethods()
                .Where(candidate => candidate.Name == method && candidate.GetParameters().Length >= arguments.Length)
                .MinBy(static candidate => candidate.GetParameters().Length)!;
            best.Invoke(server, [.. arguments, .. new object?[best.GetParameters().Length - arguments.Length]]);
        }
        catch (TargetInvocationException e)
        {
            ExceptionDispatchInfo.Throw(e.InnerException!);
        }
    }
}
