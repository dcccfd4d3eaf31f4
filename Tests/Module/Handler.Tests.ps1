# Handlers of the user's own, compiled: what is taken, what is refused, and what a server of one does.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
    Import-Module "$PSScriptRoot/../Host/TestShell.psm1"

    $engine = "$root/bin/dependencies/C10kServer.Engine.dll"
    $code = '
        using System;
        using System.Text;
        using System.Threading;
        using C10kServer.Engine;

        // Says which of its kind it is, and how many messages it has had.
        public class NumberedHandler : ConnectionHandler
        {
            public static int Made;
            private readonly int _number = Interlocked.Increment(ref Made);
            private int _messages;

            public override void OnReceived(Connection connection, ReadOnlySpan<byte> data) =>
                connection.Write(Encoding.ASCII.GetBytes($"{_number}:{Interlocked.Increment(ref _messages)}\n"));
        }

        // Echoes, and throws at an x.
        public class TouchyHandler : ConnectionHandler
        {
            public override void OnReceived(Connection connection, ReadOnlySpan<byte> data)
            {
                if (data.Contains((byte)120))
                {
                    throw new InvalidOperationException("An x has come.");
                }

                connection.Write(data);
            }
        }

        public class UnmakableHandler : TouchyHandler
        {
            public static int Attempts;

            public UnmakableHandler()
            {
                if (Interlocked.Increment(ref Attempts) % 2 == 0)
                {
                    throw new InvalidOperationException("Every second one fails.");
                }
            }
        }

        public abstract class AbstractHandler : ConnectionHandler { }

        public class NeedyHandler : ConnectionHandler { public NeedyHandler(int number) { } }

        public class SecretHandler : ConnectionHandler { private SecretHandler() { } }

        public class GenericHandler<T> : TouchyHandler { }'

    # None has asked for the engine yet: this has the compiled types find it.
    $engineBefore = [AppDomain]::CurrentDomain.GetAssemblies().Where({ $_.GetName().Name -eq 'C10kServer.Engine' }).Count
    Add-Type -ReferencedAssemblies $engine, System.Memory, System.Threading -TypeDefinition $code

    # A client's whole visit: what it sends, its end, and what comes back until the server's.
    function Send-Text($Server, $Text) {
        $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $Server.Port)
        try {
            $client.ReceiveTimeout = 180000
            $stream = $client.GetStream()
            $stream.Write([System.Text.Encoding]::ASCII.GetBytes($Text))
            $client.Client.Shutdown('Send')
            [System.IO.StreamReader]::new($stream).ReadToEnd()
        } finally {
            $client.Dispose()
        }
    }

    # A client that stays, and sends and reads lines.
    function Open-Line($Server) {
        $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $Server.Port)
        $client.ReceiveTimeout = 180000
        $stream = $client.GetStream()
        $writer = [System.IO.StreamWriter]::new($stream)
        $writer.AutoFlush = $true
        $writer.NewLine = "`n"
        @{ Client = $client; Writer = $writer; Reader = [System.IO.StreamReader]::new($stream) }
    }

    function Read-Answer($Line, $Text) {
        $Line.Writer.WriteLine($Text)
        $Line.Reader.ReadLine()
    }

    # The code of the first example under a heading of an about file: what is indented deeper than the text around it.
    function Get-AboutExample($File, $Heading) {
        $lines = [System.IO.File]::ReadAllLines("$root/en-US/$File.help.txt")
        $at = [array]::IndexOf($lines, $Heading)
        while ($lines[++$at] -notmatch '^ {8}') { if ($lines[$at] -match '^\S') { throw "There is no example under $Heading." } }
        $code = for (; $lines[$at] -match '^ {8}|^$'; $at++) { $lines[$at] }
        $code -join "`n"
    }

    $base = Get-ProcessLedger
}

Describe 'A compiled handler' {
    AfterEach {
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'is of the module''s own engine, though it was compiled and loaded before that' {
        if ($engineBefore) {
            Set-ItResult -Skipped -Because 'the engine was loaded before this file was run'
            return
        }

        $null = Start-C10kServer
        $assembly = [NumberedHandler].BaseType.Assembly
        [System.Runtime.Loader.AssemblyLoadContext]::GetLoadContext($assembly).Name | Should -Be C10kServer
        [AppDomain]::CurrentDomain.GetAssemblies().Where({ $_.GetName().Name -eq 'C10kServer.Engine' }) | Should -HaveCount 1
    }

    It 'serves all connections as an object' {
        $handler = [NumberedHandler]::new()
        $made = [NumberedHandler]::Made
        $server = Start-C10kServer -Handler $handler
        $server.Protocol | Should -Be NumberedHandler
        $server.Options.Protocol | Should -Be NumberedHandler
        [object]::ReferenceEquals($server.Options.Handler, $handler) | Should -BeTrue
        foreach ($message in 1..5) { Send-Text $server 'x' | Should -BeExactly "${made}:$message`n" }
        [NumberedHandler]::Made | Should -Be $made
    }

    It 'is made for each connection as a type' {
        $server = Start-C10kServer -Handler ([NumberedHandler])
        $server.Protocol | Should -Be NumberedHandler
        $server.Options.Handler | Should -Be ([NumberedHandler])
        $made = [NumberedHandler]::Made
        $lines = @(1..4 | ForEach-Object {
            $line = Open-Line $server
            Read-Answer $line 'first' | Should -BeExactly "$($made + $_):1"
            $line
        })
        foreach ($message in 2..4) {
            foreach ($number in 1..4) { Read-Answer $lines[$number - 1] 'next' | Should -BeExactly "$($made + $number):$message" }
        }

        foreach ($line in $lines) { $line.Client.Dispose() }
        [NumberedHandler]::Made | Should -Be ($made + 4)
    }

    It 'may be a generic type whose types are said' {
        Send-Text (Start-C10kServer -Handler ([GenericHandler[int]])) 'ping' | Should -BeExactly 'ping'
    }

    It 'may be one of the engine''s' {
        $type = [NumberedHandler].BaseType.Assembly.GetType('C10kServer.Engine.Handlers.EchoHandler')
        Send-Text (Start-C10kServer -Handler $type) 'ping' | Should -BeExactly 'ping'
    }

    It 'takes the other parameters, and -WhatIf starts nothing' {
        $server = Start-C10kServer -Name own -Handler ([TouchyHandler]) -Workers 1 -IdleTimeout 5m
        $server.Options.IdleTimeout | Should -Be ([timespan]'00:05:00')
        $server.WorkerCount | Should -Be 1
        Start-C10kServer -Handler ([TouchyHandler]) -WhatIf | Should -BeNullOrEmpty
        Get-C10kServer | Should -HaveCount 1
    }

    It 'closes its own connection with HandlerError when it throws, and no other' {
        $server = Start-C10kServer -Handler ([TouchyHandler]) -Workers 1
        $bystander = Open-Line $server
        Read-Answer $bystander 'before' | Should -BeExactly 'before'
        foreach ($time in 1..10) { Send-Text $server 'x' | Should -BeNullOrEmpty }
        Wait-Until { $server.Closed -eq 10 }
        Read-Answer $bystander 'after' | Should -BeExactly 'after'
        $server.HandlerErrors | Should -Be 10
        $server.LastError | Should -Match 'An x has come'
        $server.ConnectionCount | Should -Be 1
        (Get-C10kConnection -Closed).CloseReason | Should -Be (@('HandlerError') * 10)
        $bystander.Client.Dispose()
    }

    It 'costs its connection alone when its constructor throws' {
        $server = Start-C10kServer -Handler ([UnmakableHandler]) -Workers 1
        $answers = foreach ($time in 1..10) { try { Send-Text $server 'ping' } catch { 'reset' } }
        $answers -eq 'ping' | Should -HaveCount 5
        $answers -eq 'reset' | Should -HaveCount 5
        Wait-Until { $server.Closed -eq 10 }
        $server.HandlerErrors | Should -Be 5
        $server.LastError | Should -Match 'Every second one fails'
        $server.State | Should -Be Running
    }

    It 'is loaded <From> by a shell that has started no server before, and served there' -ForEach @(
        @{ From = 'from bytes'; Load = '[System.Reflection.Assembly]::Load([System.IO.File]::ReadAllBytes($path))' }
        @{ From = 'from a file'; Load = '[System.Reflection.Assembly]::LoadFrom($path)' }
        @{ From = 'into a context of its own'; Load = '[System.Runtime.Loader.AssemblyLoadContext]::new("own").LoadFromAssemblyPath($path)' }
    ) {
        $path = "$TestDrive/$($From -replace '\W').dll"
        Add-Type -ReferencedAssemblies $engine -OutputAssembly $path -TypeDefinition '
            public class Counter : C10kServer.Engine.ConnectionHandler
            {
                public override void OnPeerClosed(C10kServer.Engine.Connection connection)
                {
                    connection.Write(System.Text.Encoding.ASCII.GetBytes($"{connection.BytesReceived} bytes\n"));
                    connection.Close();
                }
            }'
        $shell = Open-TestShell -Command @"
            Import-Module '$root/C10kServer.psd1'
            `$path = '$path'
            `$server = Start-C10kServer -Handler ($Load).GetType('Counter')
            `$client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', `$server.Port)
            `$stream = `$client.GetStream()
            `$stream.Write([byte[]](1, 2, 3))
            `$client.Client.Shutdown('Send')
            [System.IO.StreamReader]::new(`$stream).ReadToEnd()
            `$client.Dispose()
            `$engines = [AppDomain]::CurrentDomain.GetAssemblies().Where({ `$_.GetName().Name -eq 'C10kServer.Engine' })
            "`$(`$server.Protocol) of `$(`$engines.Count) engine"
"@
        (Wait-TestShell $shell) -replace '\s+', ' ' | Should -Be '3 bytes Counter of 1 engine'
    }
}

Describe 'What is no handler' {
    BeforeAll {
        # As a user's script would have it: the classes are compiled when the types are there.
        $classes = & ([scriptblock]::Create('
            class ShellHandler : NumberedHandler { }
            class ShellHandlerOfAShellHandler : ShellHandler { }
            [ShellHandler]
            [ShellHandlerOfAShellHandler]'))
        $context = [System.Runtime.Loader.AssemblyLoadContext]::new('another copy')
        $stranger = $context.LoadFromAssemblyPath($engine).GetType('C10kServer.Engine.Handlers.EchoHandler')
        $handlers = @{
            'a script block' = { 'hello' }
            'text' = '[NumberedHandler]'
            'a number' = 5
            'an object of another type' = [System.Text.StringBuilder]::new()
            'another type' = [System.Text.StringBuilder]
            'the base class itself' = [NumberedHandler].BaseType
            'an abstract type' = [AbstractHandler]
            'a type without a constructor for it' = [NeedyHandler]
            'a type with a private constructor' = [SecretHandler]
            'an open generic type' = [GenericHandler`1]
            'a PowerShell class' = $classes[0]
            'an object of a PowerShell class' = $classes[0]::new()
            'a PowerShell class of a PowerShell class' = $classes[1]
            'a handler of another copy of the engine' = $stranger
            'an object of another copy of the engine' = $stranger::new()
        }
    }

    It 'is refused: <Kind>' -ForEach @(
        @{ Kind = 'a script block'; Says = '-ScriptBlock' }
        @{ Kind = 'text'; Says = '-Handler \(\[NumberedHandler\]\)' }
        @{ Kind = 'a number'; Says = 'System\.Int32 does not derive .* C10kServer\.Engine\.ConnectionHandler' }
        @{ Kind = 'an object of another type'; Says = 'An object of type System\.Text\.StringBuilder does not derive' }
        @{ Kind = 'another type'; Says = 'The type System\.Text\.StringBuilder does not derive' }
        @{ Kind = 'the base class itself'; Says = 'ConnectionHandler is abstract: derive from it' }
        @{ Kind = 'an abstract type'; Says = 'AbstractHandler is abstract' }
        @{ Kind = 'a type without a constructor for it'; Says = 'NeedyHandler has no public constructor without parameters' }
        @{ Kind = 'a type with a private constructor'; Says = 'SecretHandler has no public constructor without parameters' }
        @{ Kind = 'an open generic type'; Says = 'open generic type.*\(\[GenericHandler\[int\]\]\)' }
        @{ Kind = 'a PowerShell class'; Says = 'ShellHandler is a PowerShell class' }
        @{ Kind = 'an object of a PowerShell class'; Says = 'ShellHandler is a PowerShell class' }
        @{ Kind = 'a PowerShell class of a PowerShell class'; Says = 'ShellHandlerOfAShellHandler is a PowerShell class' }
        @{ Kind = 'a handler of another copy of the engine'; Says = 'another copy of the engine, loaded from .*Engine\.dll' }
        @{ Kind = 'an object of another copy of the engine'; Says = 'another copy of the engine, loaded from .*Engine\.dll' }
    ) {
        $handlers.ContainsKey($Kind) | Should -BeTrue
        $caught = try { Start-C10kServer -Handler $handlers[$Kind] } catch { $_ }
        $caught.FullyQualifiedErrorId | Should -Be 'InvalidHandler,C10kServer.Commands.StartC10kServerCommand'
        $caught.CategoryInfo.Category | Should -Be InvalidArgument
        "$caught" | Should -Match "^-Handler: .*$Says"
        Get-C10kServer | Should -BeNullOrEmpty
    }

    It 'is refused by the shell where it is nothing, or beside -Protocol' {
        { Start-C10kServer -Handler $null } | Should -Throw -ErrorId 'ParameterArgumentValidationErrorNullNotAllowed,C10kServer.Commands.StartC10kServerCommand'
        { Start-C10kServer -Handler ([NumberedHandler]) -Protocol Echo } | Should -Throw -ErrorId 'AmbiguousParameterSet,C10kServer.Commands.StartC10kServerCommand'
    }
}

Describe 'The example of about_C10kServer_Handlers' {
    AfterAll {
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'compiles, and counts the lines of each connection' {
        . ([scriptblock]::Create((Get-AboutExample about_C10kServer_Handlers 'COMPILED HANDLERS')))
        $server.Protocol | Should -Be LineCounter
        Send-Text $server "one`ntwo`nthree" | Should -BeExactly "2 lines`n"
        Send-Text $server '' | Should -BeExactly "0 lines`n"
        $text = "line`n" * 100000
        Send-Text $server $text | Should -BeExactly "100000 lines`n"

        # What is counted so far is in the rows.
        $line = Open-Line $server
        $line.Writer.Write("a`nb`nc`n")
        Wait-Until { (Get-C10kConnection).Tag -eq 3 }
        $line.Client.Client.Shutdown('Send')
        $line.Reader.ReadLine() | Should -BeExactly '3 lines'
        $line.Client.Dispose()
    }
}
