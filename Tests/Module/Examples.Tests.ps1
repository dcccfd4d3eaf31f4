# The example scripts, each run as it is and asked by real clients; and what all of them owe their readers.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseBOMForUnicodeEncodedFile', '', Justification = 'It is the default now.')]
param()

BeforeDiscovery {
    $examples = foreach ($path in [System.IO.Directory]::GetFiles("$PSScriptRoot/../Examples", '*.ps1')) {
        @{ Name = [System.IO.Path]::GetFileName($path); Path = $path }
    }

    $pumps = @(
        @{ Name = 'TarPit.ps1'; Parameters = @{} }
        @{ Name = 'SyslogSink.ps1'; Parameters = @{} }
        @{ Name = 'HealthCheck.ps1'; Parameters = @{ Path = "$PSScriptRoot/Examples.Tests.ps1" } }
    )
}

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    $manifest = "$root/C10kServer.psd1"
    $folder = "$PSScriptRoot/../Examples"
    Import-Module $manifest
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"

    # What the tests open, for AfterEach to close.
    $clients = [System.Collections.Generic.List[object]]::new()
    $shells = [System.Collections.Generic.List[object]]::new()

    # A client that stays, and sends and reads lines.
    function Open-Line($Port, $From = '127.0.0.1') {
        $client = [System.Net.Sockets.TcpClient]::new([System.Net.IPEndPoint]::new([ipaddress]$From, 0))
        $client.NoDelay = $true
        $client.ReceiveTimeout = 180000
        $client.Connect('127.0.0.1', $Port)
        $stream = $client.GetStream()
        $writer = [System.IO.StreamWriter]::new($stream)
        $writer.AutoFlush = $true
        $writer.NewLine = "`n"
        $line = @{ Client = $client; Stream = $stream; Writer = $writer; Reader = [System.IO.StreamReader]::new($stream) }
        $clients.Add($client)
        $line
    }

    # Sends a line and reads the line that answers it.
    function Read-Answer($Line, $Text) {
        $Line.Writer.WriteLine($Text)
        $Line.Reader.ReadLine()
    }

    # A reset, as of a client that has crashed.
    function Send-Reset($Line) {
        $Line.Client.Client.LingerState = [System.Net.Sockets.LingerOption]::new($true, 0)
        $Line.Client.Dispose()
    }

    # Runs an example that has the pipeline to itself in a shell of its own; Output grows as it writes.
    function Invoke-Example($Name, $Parameters = @{}) {
        $shell = [powershell]::Create([initialsessionstate]::CreateDefault2())
        $output = [System.Management.Automation.PSDataCollection[psobject]]::new()

        # Otherwise a look at what there is would wait for the end.
        $output.EnumeratorNeverBlocks = $shell.Streams.Error.EnumeratorNeverBlocks = $true
        $nothing = [System.Management.Automation.PSDataCollection[psobject]]::new()
        $nothing.Complete()
        $null = $shell.AddScript('param($manifest, $path, $parameters) Import-Module $manifest; & $path @parameters')
        $null = $shell.AddArgument($manifest).AddArgument("$folder/$Name").AddArgument($Parameters)
        $run = $shell.BeginInvoke($nothing, $output)
        $example = @{ Shell = $shell; Output = $output; Run = $run }
        $shells.Add($example)
        $example
    }

    # The server of an example that runs in a shell of its own.
    function Wait-Server($Example) {
        Wait-Until -Because 'a server runs' -Condition {
            if ($Example.Run.IsCompleted) { throw "Ended: $($Example.Shell.Streams.Error) $($Example.Shell.InvocationStateInfo.Reason)" }
            (Get-C10kServer).State -eq 'Running'
        }

        Get-C10kServer
    }

    # Its end, by itself, without an error.
    function Wait-Example($Example) {
        Wait-Until -Because 'the example ends' -Condition { $Example.Run.IsCompleted }
        $Example.Shell.Streams.Error | Should -BeNullOrEmpty
        "$($Example.Shell.InvocationStateInfo.State)" | Should -Be Completed
    }

    $base = Get-ProcessLedger
}

Describe 'The example <Name>' -ForEach $examples {
    BeforeAll {
        $problems = $null
        $tree = [System.Management.Automation.Language.Parser]::ParseFile($Path, [ref]$null, [ref]$problems)
        $calls = $tree.FindAll({ param($node) $node -is [System.Management.Automation.Language.CommandAst] }, $true)
    }

    It 'has at most 30 lines, none too wide to read' {
        $lines = [System.IO.File]::ReadAllLines($Path)
        $lines.Count | Should -BeLessOrEqual 30
        @($lines.Where({ $_.Length -gt 140 })) | Should -BeNullOrEmpty
    }

    It 'parses, and says that it needs the module' {
        $problems | Should -BeNullOrEmpty
        $tree.ScriptRequirements.RequiredModules.Name | Should -Be C10kServer
    }

    It 'has help with an example' {
        $help = $tree.GetHelpContent()
        $help.Synopsis.Trim() | Should -Match '^[A-Z].*\.$'
        @($help.Examples) | Should -HaveCount 1
        $help.Examples[0] | Should -Match ([regex]::Escape("./$Name"))
    }

    It 'has parameters with defaults, -Port 0 among them' {
        $port = $tree.ParamBlock.Parameters.Where({ $_.Name.VariablePath.UserPath -eq 'Port' })
        $port.DefaultValue.Value | Should -Be 0
        $needed = $tree.ParamBlock.Parameters.Where({ -not $_.DefaultValue -and "$($_.Attributes)" -notmatch 'Mandatory' })
        $needed | Should -BeNullOrEmpty
    }

    It 'uses cmdlets by their names, and parameters by theirs' {
        $calls.Count | Should -BeGreaterThan 0
        foreach ($call in $calls) {
            $command = Get-Command $call.GetCommandName()
            "$($command.CommandType)" | Should -Be Cmdlet -Because "$call"
            $command.Name | Should -BeExactly $call.GetCommandName()
            $before = $call.CommandElements[0]
            foreach ($element in @($call.CommandElements)[1..$call.CommandElements.Count]) {
                if ($element -is [System.Management.Automation.Language.CommandParameterAst]) {
                    @($command.Parameters.Keys) -ccontains $element.ParameterName | Should -BeTrue -Because "$element"
                } else {
                    $before.GetType().Name | Should -Be CommandParameterAst -Because "$element is positional"
                }

                $before = $element
            }
        }
    }
}

Describe 'Run as it is, the example' {
    AfterEach {
        foreach ($client in $clients) { $client.Dispose() }
        Get-C10kServer | Stop-C10kServer
        foreach ($example in $shells) {
            $example.Shell.Stop()
            $example.Shell.Dispose()
        }

        $clients.Clear()
        $shells.Clear()
        Wait-ProcessLedger -Base $base
    }

    Context 'Upper.ps1' {
        It 'gives each of two clients its own lines in capitals, in order' {
            $server = & "$folder/Upper.ps1"
            $server | Should -BeOfType ([C10kServer.Server])
            $one, $other = (Open-Line $server.Port), (Open-Line $server.Port)
            Read-Answer $one 'straße' | Should -BeExactly 'STRAßE'
            Read-Answer $other 'élan' | Should -BeExactly 'ÉLAN'
            $one.Writer.Write((1..500 | ForEach-Object { "one $_`r`n" }) -join '')
            $other.Writer.Write((1..500 | ForEach-Object { "other $_`n" }) -join '')
            $lines = foreach ($number in 1..500) { $one.Reader.ReadLine() }
            $lines -join ';' | Should -BeExactly ((1..500 | ForEach-Object { "ONE $_" }) -join ';')
            $lines = foreach ($number in 1..500) { $other.Reader.ReadLine() }
            $lines -join ';' | Should -BeExactly ((1..500 | ForEach-Object { "OTHER $_" }) -join ';')
        }
    }

    Context 'KeyValueStore.ps1' {
        It 'keeps what one client sets for the other, and says what is wrong' {
            $server = & "$folder/KeyValueStore.ps1"
            $server | Should -BeOfType ([C10kServer.Server])
            $one, $other = (Open-Line $server.Port), (Open-Line $server.Port)
            Read-Answer $other 'GET colour' | Should -BeExactly 'NONE'
            Read-Answer $one 'SET colour dark  red' | Should -BeExactly 'OK'
            Read-Answer $other 'GET colour' | Should -BeExactly 'VALUE dark  red'
            Read-Answer $other 'SET colour NONE' | Should -BeExactly 'OK'
            Read-Answer $one 'GET colour' | Should -BeExactly 'VALUE NONE'
            Read-Answer $one 'INCR colour' | Should -Match '^ERROR'
            Read-Answer $one 'SET below -1' | Should -BeExactly 'OK'
            Read-Answer $one 'INCR below' | Should -BeExactly 'VALUE 0'
            foreach ($wrong in 'GET', 'SET colour', 'INCR', 'DROP colour', '') { Read-Answer $one $wrong | Should -Match '^ERROR' }
            Read-Answer $one 'GET colour' | Should -BeExactly 'VALUE NONE'
            $server.HandlerErrors | Should -Be 0
        }

        It 'loses no INCR of 1,000 from each of ten connections, and gives no number twice' {
            $server = & "$folder/KeyValueStore.ps1"
            $lines = foreach ($number in 1..10) { Open-Line $server.Port }
            $increments = [System.Text.Encoding]::ASCII.GetBytes("INCR hits`n" * 1000)
            foreach ($line in $lines) { $line.Stream.Write($increments) }
            $numbers = foreach ($line in $lines) { foreach ($time in 1..1000) { [int]$line.Reader.ReadLine().Split(' ')[1] } }
            [System.Collections.Generic.HashSet[int]]::new([int[]]$numbers).Count | Should -Be 10000
            Read-Answer $lines[0] 'GET hits' | Should -BeExactly 'VALUE 10000'
        }
    }

    Context 'ChatRoom.ps1' {
        BeforeAll {
            # Comes in under a name, when everybody who is there has heard of it.
            function Join-Room($Server, $Name, $There = @()) {
                $line = Open-Line $Server.Port
                $null = $line.Reader.ReadLine()
                $line.Writer.WriteLine($Name)
                foreach ($other in $There) { $other.Reader.ReadLine() | Should -BeExactly "* $Name has come" }
                $line
            }
        }

        It 'takes lines to all others, and to them alone' {
            $server = & "$folder/ChatRoom.ps1"
            $server | Should -BeOfType ([C10kServer.Server])
            $ann = Join-Room $server ann
            Wait-Until { (Get-C10kConnection).Tag -eq 'ann' }
            $bob = Join-Room $server bob -There $ann
            $cat = Join-Room $server cat -There $ann, $bob
            $ann.Writer.WriteLine('hello')
            $bob.Reader.ReadLine() | Should -BeExactly 'ann: hello'
            $cat.Reader.ReadLine() | Should -BeExactly 'ann: hello'
            $bob.Writer.WriteLine('hi')
            $cat.Reader.ReadLine() | Should -BeExactly 'bob: hi'

            # The first that she hears after she has spoken: not herself.
            $ann.Reader.ReadLine() | Should -BeExactly 'bob: hi'
            $names = (Read-Answer $cat '/who').Split(', ')
            [array]::Sort($names)
            $names -join ' ' | Should -BeExactly 'ann bob cat'
        }

        It 'lets nobody in without a name, or with one that is there' {
            $server = & "$folder/ChatRoom.ps1"
            $ann = Join-Room $server ann
            Wait-Until { (Get-C10kConnection).Tag -eq 'ann' }
            $other = Open-Line $server.Port
            $other.Reader.ReadLine() | Should -Match 'your name'
            Read-Answer $other 'ANN' | Should -Match '^There is a ANN'
            Read-Answer $other '/who' | Should -Match '^Letters'
            Read-Answer $other '' | Should -Match '^Letters'
            $other.Writer.WriteLine('anna')

            # Nothing of these attempts came to her.
            $ann.Reader.ReadLine() | Should -BeExactly '* anna has come'
        }

        It 'tells of who leaves, by /quit, by a reset or kicked, and has the name free again' {
            $server = & "$folder/ChatRoom.ps1"
            $ann = Join-Room $server ann
            Wait-Until { (Get-C10kConnection).Tag -eq 'ann' }
            $bob = Join-Room $server bob -There $ann
            $bob.Writer.WriteLine('/quit')
            $bob.Reader.ReadToEnd() | Should -BeNullOrEmpty
            $bob.Client.Dispose()
            $ann.Reader.ReadLine() | Should -BeExactly '* bob has gone'
            $bob = Join-Room $server bob -There $ann
            Send-Reset $bob
            $ann.Reader.ReadLine() | Should -BeExactly '* bob has gone'
            $bob = Join-Room $server bob -There $ann
            Get-C10kConnection | Where-Object Tag -EQ 'bob' | Close-C10kConnection
            $bob.Reader.ReadToEnd() | Should -BeNullOrEmpty
            $bob.Client.Dispose()
            $ann.Reader.ReadLine() | Should -BeExactly '* bob has gone'
            Read-Answer $ann '/who' | Should -BeExactly 'ann'
            $server.HandlerErrors | Should -Be 0
        }

        It 'takes what ten say at once to each of the nine others, whole and in order' {
            $server = & "$folder/ChatRoom.ps1"
            $there = @()
            foreach ($number in 1..10) {
                $there += Join-Room $server "n$number" -There $there
                Wait-Until { @((Get-C10kConnection).Tag -like 'n*').Count -eq $number }
            }

            foreach ($line in $there) { $line.Writer.Write((1..50 | ForEach-Object { "line $_`n" }) -join '') }
            foreach ($listener in 1..10) {
                $heard = @{}
                $wrong = foreach ($time in 1..450) {
                    $line = $there[$listener - 1].Reader.ReadLine()
                    $who = $line.Split(':')[0]
                    $heard[$who] += 1
                    if ($line -cne "${who}: line $($heard[$who])") { $line }
                }

                $wrong | Should -BeNullOrEmpty
                $heard.Count | Should -Be 9
                $heard.ContainsKey("n$listener") | Should -BeFalse
            }
        }
    }

    Context 'TarPit.ps1' {
        It 'holds 50 clients with no more threads than none, drips to each, and tells how long it held them' {
            $pit = Invoke-Example TarPit.ps1 @{ Interval = '50ms' }
            $server = Wait-Server $pit
            $clock = [System.Diagnostics.Stopwatch]::StartNew()
            $lines = @(Open-Line $server.Port)
            $lines[0].Reader.ReadLine() | Should -Match '^[0-9a-f]{8}$'
            $threads = (Get-ProcessLedger).Threads
            $lines += foreach ($number in 2..50) { Open-Line $server.Port }
            foreach ($line in $lines) { foreach ($time in 1..5) { $line.Reader.ReadLine() | Should -Match '^[0-9a-f]{8}$' } }
            (Get-ProcessLedger).Threads | Should -Be $threads
            $server.ConnectionCount | Should -Be 50
            $pit.Output | Should -BeNullOrEmpty

            # Some give up; of these it tells at once.
            foreach ($line in $lines[0..19]) { Send-Reset $line }
            Wait-Until { $pit.Output.Count -eq 20 }
            $server.ConnectionCount | Should -Be 30
            $lines[49].Reader.ReadLine() | Should -Match '^[0-9a-f]{8}$'
            Stop-C10kServer TarPit
            Wait-Example $pit
            $pit.Output | Should -HaveCount 50
            foreach ($visit in $pit.Output) {
                "$($visit.Address)" | Should -Be 127.0.0.1
                $visit.Held.TotalMilliseconds | Should -BeGreaterThan 190
                $visit.Held | Should -BeLessThan $clock.Elapsed
                $visit.Bytes | Should -BeGreaterOrEqual 50
            }
        }

        It 'drips slowly, and ends after -Duration' {
            $clock = [System.Diagnostics.Stopwatch]::StartNew()
            $pit = Invoke-Example TarPit.ps1 @{ Duration = '2s'; Interval = '1h' }
            $server = Wait-Server $pit
            $line = Open-Line $server.Port
            Wait-Example $pit
            $clock.Elapsed.TotalSeconds | Should -BeGreaterOrEqual 2
            "$($server.State)" | Should -Be Stopped
            $pit.Output | Should -HaveCount 1
            $line.Reader.ReadToEnd().Length | Should -BeLessOrEqual 10
        }
    }

    Context 'SyslogSink.ps1' {
        BeforeAll {
            function Add-Count([string] $Message) {
                "$([System.Text.Encoding]::UTF8.GetByteCount($Message)) $Message"
            }

            function Send-Byte($Line, [string] $Text, [switch] $OneByOne) {
                $bytes = [System.Text.Encoding]::UTF8.GetBytes($Text)
                if (-not $OneByOne) { return $Line.Stream.Write($bytes) }
                foreach ($byte in $bytes) { $Line.Stream.WriteByte($byte) }
            }
        }

        It 'tells counted messages from lines on one connection, also when they come byte by byte' {
            $sink = Invoke-Example SyslogSink.ps1 @{ Count = 6 }
            $server = Wait-Server $sink
            $line = Open-Line $server.Port
            $text = (Add-Count "<165>1 2003-10-11T22:14:15.003Z host app 17 ID47 - caf`u{e9} `u{1F600}`nof two lines") +
                "<34>Oct 11 22:14:15 mymachine su: 'su root' failed`n" + "<0>kernel`r`n" + (Add-Count '<191>debug') +
                (Add-Count "<192>none") + "<7>seven`n"
            Send-Byte $line $text -OneByOne
            Wait-Example $sink
            $all = $sink.Output | ForEach-Object { "$($_.Facility).$($_.Severity) $($_.Message)" }
            $all | Should -HaveCount 6
            $all[0] | Should -BeExactly "local4.Notice 1 2003-10-11T22:14:15.003Z host app 17 ID47 - caf`u{e9} `u{1F600}`nof two lines"
            $all[1] | Should -BeExactly "auth.Critical Oct 11 22:14:15 mymachine su: 'su root' failed"
            $all[2] | Should -BeExactly 'kern.Emergency kernel'
            $all[3] | Should -BeExactly 'local7.Debug debug'
            $all[4] | Should -BeExactly 'user.Notice <192>none'
            $all[5] | Should -BeExactly 'kern.Debug seven'
            "$($sink.Output[0].From)" | Should -Be 127.0.0.1
            "$($server.State)" | Should -Be Stopped
        }

        It 'writes each message as it comes, of all connections, in the order of each' {
            $sink = Invoke-Example SyslogSink.ps1
            $server = Wait-Server $sink
            $first = Open-Line $server.Port
            Send-Byte $first "<13>hello`n<13>half a"
            Wait-Until { $sink.Output.Count -eq 1 }
            $lines = foreach ($number in 1..4) { Open-Line $server.Port }
            foreach ($number in 0..3) {
                $text = foreach ($time in 1..500) { $number % 2 ? "<13>$number $time`n" : (Add-Count "<13>$number $time") }
                Send-Byte $lines[$number] ($text -join '')
            }

            Wait-Until { $sink.Output.Count -eq 2001 }
            Send-Byte $first " line`n"
            Wait-Until { $sink.Output.Count -eq 2002 }
            $sink.Output[2001].Message | Should -BeExactly 'half a line'
            $seen = @{}
            $wrong = foreach ($record in @($sink.Output)[1..2000]) {
                $who = $record.Message.Split(' ')[0]
                $seen[$who] += 1
                if ($record.Message -cne "$who $($seen[$who])") { $record.Message }
            }

            $wrong | Should -BeNullOrEmpty
            $seen.Values | Should -Be (@(500) * 4)
            Stop-C10kServer SyslogSink
            Wait-Example $sink
        }

        It 'closes who sends what is no syslog: <What>' -ForEach @(
            @{ What = 'words'; Text = "GET / HTTP/1.1`r`n" }
            @{ What = 'a count without end'; Text = '123456' }
            @{ What = 'a count of nothing'; Text = '0 ' }
            @{ What = 'a line without end'; Text = '<13>' + 'x' * 9000 }
        ) {
            $sink = Invoke-Example SyslogSink.ps1
            $server = Wait-Server $sink
            $line = Open-Line $server.Port
            $other = Open-Line $server.Port
            Send-Byte $line "<13>before`n$Text"
            $line.Reader.ReadToEnd() | Should -BeNullOrEmpty
            $line.Client.Dispose()
            Wait-Until { $server.Closed -eq 1 }
            (Get-C10kConnection -Closed).CloseReason | Should -Be HandlerError
            Send-Byte $other "<13>after`n"
            Wait-Until { $sink.Output.Count -eq 2 }
            $sink.Output.Message -join ' ' | Should -BeExactly 'before after'
        }

        It 'ends after -Timeout' {
            $sink = Invoke-Example SyslogSink.ps1 @{ Timeout = '1s' }
            $server = Wait-Server $sink
            $line = Open-Line $server.Port
            Send-Byte $line "<13>hello`n"
            Wait-Example $sink
            $sink.Output.Message | Should -Be hello
            "$($server.State)" | Should -Be Stopped
        }
    }

    Context 'HealthCheck.ps1' {
        BeforeAll {
            # As a load balancer looks: connected is well, refused is not.
            function Test-Port($Port) {
                $client = [System.Net.Sockets.TcpClient]::new()
                $client.ReceiveTimeout = 180000
                try {
                    $client.Connect('127.0.0.1', $Port)
                    [System.IO.StreamReader]::new($client.GetStream()).ReadToEnd()
                } catch [System.Net.Sockets.SocketException] {
                    "$($_.Exception.SocketErrorCode)"
                } catch [System.IO.IOException] {
                    'The server was stopped behind the connect'
                } finally {
                    $client.Dispose()
                }
            }
        }

        BeforeEach {
            $file = [System.IO.Path]::GetTempFileName()
        }

        AfterEach {
            [System.IO.File]::Delete($file)
        }

        It 'answers while the file is there, and refuses while it is not, always on the same port' {
            $check = Invoke-Example HealthCheck.ps1 @{ Path = $file; Interval = '20ms' }
            $server = Wait-Server $check
            foreach ($time in 1..3) {
                Test-Port $server.Port | Should -BeExactly UP
                [System.IO.File]::Delete($file)
                Wait-Until { (Test-Port $server.Port) -eq 'ConnectionRefused' }
                [System.IO.File]::WriteAllText($file, '')
                Wait-Until { (Test-Port $server.Port) -eq 'UP' }
            }

            Wait-Until { $check.Output.Count -eq 7 }
            $server | Stop-C10kServer
            Wait-Example $check
        }

        It 'starts nothing before there is a file, and ends after -Duration' {
            [System.IO.File]::Delete($file)
            $check = Invoke-Example HealthCheck.ps1 @{ Path = $file; Interval = '20ms'; Duration = '1s' }
            Wait-Example $check
            $check.Output | Should -BeNullOrEmpty
            [System.IO.File]::WriteAllText($file, '')
            $check = Invoke-Example HealthCheck.ps1 @{ Path = $file; Interval = '20ms'; Duration = '1s' }
            Wait-Example $check
            $check.Output | Should -HaveCount 1
            "$($check.Output[0].State)" | Should -Be Stopped
        }
    }

    Context 'FakeSmtp.ps1' {
        It 'keeps what SmtpClient sends, with the lines that begin with a dot' {
            $server = & "$folder/FakeSmtp.ps1"
            $server | Should -BeOfType ([C10kServer.Server])
            $server.Messages | Should -BeNullOrEmpty
            $client = [System.Net.Mail.SmtpClient]::new('127.0.0.1', $server.Port)
            $body = "a`r`n.`r`n.b`r`n..c`r`nd"
            $mail = [System.Net.Mail.MailMessage]::new('me@example.org', 'one@example.org,two@example.org', 'Dots', $body)
            $mail.BodyTransferEncoding = 'SevenBit'
            $client.Send($mail)
            $client.Send('you@example.org', 'three@example.org', 'Second', 'On the same connection')
            $client.Dispose()
            $first, $second = @($server.Messages)
            $first.From | Should -BeExactly 'me@example.org'
            $first.To | Should -Be 'one@example.org', 'two@example.org'
            $first.Data | Should -Match '(?m)^Subject: Dots\r$'
            $first.Data.Substring($first.Data.IndexOf("`r`n`r`n") + 4).TrimEnd() | Should -BeExactly $body
            $second.From | Should -BeExactly 'you@example.org'
            $second.To | Should -Be 'three@example.org'
            @($server.Messages) | Should -HaveCount 2
            @((Get-C10kServer $server.Name).Messages) | Should -HaveCount 2
            Wait-Until { $server.ConnectionCount -eq 0 }
            $server.HandlerErrors | Should -Be 0
        }

        It 'speaks as RFC 5321 wants: order, null sender, RSET, pipelining, the dot alone' {
            $server = & "$folder/FakeSmtp.ps1"
            $line = Open-Line $server.Port
            $line.Writer.NewLine = "`r`n"
            $line.Reader.ReadLine() | Should -Match '^220 '
            $dialogue = @(
                'RCPT TO:<a@example.org>', '503', 'DATA', '503', 'HELO swaks', '250', 'ehlo swaks', '250', '.', '500', 'NOOP', '250'
                'MAIL FROM:<lost@example.org>', '250', 'RCPT TO:<b@example.org>', '250', 'RSET', '250', 'DATA', '503'
                'MAIL FROM:<> SIZE=5', '250', 'DATA', '503', 'rcpt to: <c@example.org>', '250', 'TURN', '500', 'DATA', '354'
            )
            for ($i = 0; $i -lt $dialogue.Count; $i += 2) { Read-Answer $line $dialogue[$i] | Should -Match "^$($dialogue[$i + 1]) " }
            Read-Answer $line "QUIT`r`n`r`n..`r`n...x`r`n." | Should -Match '^250 '
            $line.Writer.Write("MAIL FROM:<d@example.org>`r`nRCPT TO:<e@example.org>`r`nDATA`r`n.`r`nQUIT`r`n")
            $line.Reader.ReadToEnd() | Should -Match '^250 [^\n]+\r\n250 [^\n]+\r\n354 [^\n]+\r\n250 [^\n]+\r\n221 [^\n]+\r\n$'
            $first, $second = @($server.Messages)
            $first.From | Should -BeExactly ''
            $first.To | Should -Be 'c@example.org'
            $first.Data | Should -BeExactly "QUIT`r`n`r`n.`r`n..x"
            $second.Data | Should -BeExactly ''
            @($server.Messages) | Should -HaveCount 2
        }

        It 'takes a mail for one mail, whatever stands in it: <Name>' -ForEach @(
            @{ Name = 'LF . LF'; End = "`n.`n" }
            @{ Name = 'LF . CRLF'; End = "`n.`r`n" }
            @{ Name = 'CRLF . LF'; End = "`r`n.`n" }
            @{ Name = 'CR . CR'; End = "`r.`r" }
            @{ Name = 'CR . CRLF'; End = "`r.`r`n" }
            @{ Name = 'CRLF . CR'; End = "`r`n.`r" }
        ) {
            $server = & "$folder/FakeSmtp.ps1"
            $line = Open-Line $server.Port
            $line.Writer.NewLine = "`r`n"
            $null = $line.Reader.ReadLine()
            foreach ($command in 'MAIL FROM:<me@example.org>', 'RCPT TO:<you@example.org>', 'DATA') { $null = Read-Answer $line $command }
            $line.Writer.Write("body${End}MAIL FROM:<forged@example.org>`r`nRCPT TO:<victim@example.org>`r`nDATA`r`nforged`r`n.`r`nQUIT`r`n")
            $line.Reader.ReadToEnd() | Should -Match '^250 [^\n]+\r\n221 [^\n]+\r\n$'
            @($server.Messages) | Should -HaveCount 1
            @($server.Messages)[0].From | Should -BeExactly 'me@example.org'
            @($server.Messages)[0].Data | Should -Match 'MAIL FROM:<forged@example.org>'
        }

        It 'takes no command with a CR or an LF in it' {
            $server = & "$folder/FakeSmtp.ps1"
            $line = Open-Line $server.Port
            $line.Writer.NewLine = "`r`n"
            $null = $line.Reader.ReadLine()
            foreach ($command in "RSET`n", "NOOP`nMAIL FROM:<a@example.org>", "`nNOOP", "MAIL FROM:<a@example.org>`r", "QUIT`n") {
                Read-Answer $line $command | Should -Match '^500 '
            }
        }

        It 'keeps apart what two clients send at the same time, and forgets who goes before the dot' {
            $server = & "$folder/FakeSmtp.ps1"
            $lines = foreach ($number in 0..1) { Open-Line $server.Port }
            foreach ($line in $lines) { $line.Writer.NewLine = "`r`n"; $null = $line.Reader.ReadLine() }
            foreach ($command in 'MAIL FROM:<me{0}@example.org>', 'RCPT TO:<you{0}@example.org>', 'DATA', "body {0}`r`n.") {
                foreach ($number in 0..1) { Read-Answer $lines[$number] ($command -f $number) | Should -Match '^[23]5' }
            }

            $gone = Open-Line $server.Port
            $gone.Writer.Write("MAIL FROM:<a@example.org>`r`nRCPT TO:<b@example.org>`r`nDATA`r`nhalf a mai")
            $gone.Client.Client.Shutdown('Send')
            $gone.Reader.ReadToEnd() | Should -Match '354 [^\n]+\n$'
            $all = $server.Messages | ForEach-Object { "$($_.From) $($_.To) $($_.Data)" }
            $all | Should -Be 'me0@example.org you0@example.org body 0', 'me1@example.org you1@example.org body 1'
        }
    }

    Context 'LockOut.ps1' {
        BeforeAll {
            $password = [System.Net.NetworkCredential]::new('', 'opens').SecurePassword

            # A visit with one guess.
            function Test-Guess($Server, $Guess, $From) {
                $line = Open-Line $Server.Port -From $From
                $line.Reader.ReadLine() | Should -BeExactly 'Password?'
                Read-Answer $line $Guess
            }
        }

        It 'serves who knows the password, and forgets wrong ones after the right one' {
            $server = & "$folder/LockOut.ps1" -Password $password
            $server | Should -BeOfType ([C10kServer.Server])
            foreach ($time in 1..3) {
                $line = Open-Line $server.Port -From 127.0.0.2
                $null = $line.Reader.ReadLine()
                Read-Answer $line 'status' | Should -BeExactly Wrong
                Read-Answer $line 'Opens' | Should -BeExactly Wrong
                Read-Answer $line 'opens' | Should -BeExactly Welcome
                Read-Answer $line 'status' | Should -Match '^\d connections, up for 00:00:'
            }
        }

        It 'locks an address out on all its connections, though many guess at once, and no other address' {
            $server = & "$folder/LockOut.ps1" -Password $password
            $lines = foreach ($number in 1..10) { Open-Line $server.Port -From 127.0.0.2 }
            foreach ($line in $lines) { $line.Writer.WriteLine('guess') }
            $answers = foreach ($line in $lines) { $null = $line.Reader.ReadLine(); $line.Reader.ReadLine() }
            $answers -eq 'Wrong' | Should -HaveCount 2
            $answers -eq 'Locked out' | Should -HaveCount 8
            Test-Guess $server opens -From 127.0.0.2 | Should -BeExactly 'Locked out'
            Test-Guess $server opens -From 127.0.0.3 | Should -BeExactly Welcome

            # Of the two that were told that they are wrong, the right word does not help either.
            foreach ($number in 0..9) {
                if ($answers[$number] -eq 'Wrong') { Read-Answer $lines[$number] opens | Should -BeExactly 'Locked out' }
                $lines[$number].Reader.ReadToEnd() | Should -BeNullOrEmpty
            }
        }

        It 'lets the address in again after -LockTime, and not before' {
            $server = & "$folder/LockOut.ps1" -Password $password -Limit 1 -LockTime 1500ms
            $clock = [System.Diagnostics.Stopwatch]::StartNew()
            Test-Guess $server nothing -From 127.0.0.2 | Should -BeExactly 'Locked out'
            Wait-Until { (Test-Guess $server opens -From 127.0.0.2) -eq 'Welcome' }
            $clock.ElapsedMilliseconds | Should -BeGreaterOrEqual 1490
            Test-Guess $server opens -From 127.0.0.2 | Should -BeExactly Welcome
        }
    }

    It '<Name> stops its server at Ctrl+C' -ForEach $pumps {
        $example = Invoke-Example $Name $Parameters
        $server = Wait-Server $example
        $line = Open-Line $server.Port
        $clock = [System.Diagnostics.Stopwatch]::StartNew()
        $example.Shell.Stop()
        $clock.Elapsed.TotalSeconds | Should -BeLessThan 5
        "$($example.Shell.InvocationStateInfo.State)" | Should -Be Stopped
        "$($server.State)" | Should -Be Stopped
        Get-C10kServer | Should -BeNullOrEmpty
        $line.Client.Dispose()
    }
}
